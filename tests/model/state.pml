/* What the model remembers. Names are those of the code; README.md of this folder maps them. */

/* Bounds. A message is named by the epoch of the start that accepted it (1 to 3) and its sequence
   (1 to 3): `code` = epoch * 4 + sequence. That pair is unique in a history. */
#define MAX_SEQUENCE 3
#define MAX_EPOCH 3
#define CODE(e, s) ((e) * 4 + (s))
#define NONE 0
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* enum phase of association.hpp */
#define ABSENT 0
#define HANDSHAKING 1
#define VERIFYING 2
#define ESTABLISHED 3
#define REFUSED 4
#define RENEWING 5

/* struct cursors of message.hpp, with sequences in place of inbox indices. */
typedef cursors {
  unsigned local_ : 3;
  unsigned peer : 3;
  unsigned former_peer : 3;
  unsigned former_received : 2;
  unsigned outbox_first : 3;
  unsigned outbox_next : 3;
  unsigned acknowledged : 2;
  unsigned erased_epoch : 2;
  unsigned received : 2;
  unsigned delivered : 2;
  unsigned received_epoch : 2;
  unsigned delivered_epoch : 2
}

/* What a store holds besides: the epoch of each message of the outbox, two bits a sequence, and the
   codes of the messages of the inbox, four bits each, the first one lowest. */
typedef queues {
  unsigned outbox : 6;
  unsigned inbox : 24;
  unsigned depth : 3
}

/* What dies with a process, besides what `current` holds: association, handshake, sender,
   receiver. */
typedef life {
  unsigned phase : 3;
  unsigned away : 1;
  unsigned network_up : 1;
  unsigned session_was_open : 1;
  /* handshake */
  unsigned candidate : 4;
  unsigned echo : 4;
  unsigned local_nonce : 4;
  unsigned peer_nonce : 4;
  unsigned retired : 16;
  unsigned answer : 1;
  unsigned watermark_acknowledged : 2;
  unsigned watermark_received : 2;
  unsigned watermark_delivered : 2;
  /* cursors found_ */
  unsigned baseline_delivered : 2;
  unsigned baseline_delivered_epoch : 2;
  /* sender */
  unsigned sender_received : 2;
  unsigned highest_sent : 2;
  /* receiver: stored messages that were consumed, accepted ones that are not stored, and the epochs of
     those that came early, two bits a sequence */
  unsigned consumed : 3;
  unsigned unstored : 3;
  unsigned early : 6;
  /* hello_record peer_hello_ and verdict_, while `verifying` */
  unsigned peer_hello_received : 2;
  unsigned peer_hello_received_epoch : 2;
  unsigned peer_hello_delivered : 2;
  unsigned peer_hello_delivered_epoch : 2;
  unsigned peer_hello_first : 3;
  unsigned peer_hello_first_epoch : 2;
  unsigned peer_hello_acknowledged : 2;
  unsigned has_ours : 1;
  unsigned known : 1;
  /* due at once, once all is calm */
  unsigned ack_due : 1;
  unsigned hello_due : 1
}

#define HELLO 1
#define DATA 2
#define ACK 3

/* A frame. Data has its sequence in `first` (0: a ping) and its epoch in `first_epoch`; the session
   of data and acks is (nonce, echo): the sender's and the receiver's nonce. */
typedef frame {
  unsigned kind : 2;
  unsigned nonce : 4;
  unsigned echo : 4;
  unsigned proven : 1;
  unsigned local_ : 3;
  unsigned peer : 3;
  unsigned former_peer : 3;
  unsigned former_received : 2;
  unsigned first : 3;
  unsigned next : 3;
  unsigned first_epoch : 2;
  unsigned acknowledged : 2;
  unsigned received : 2;
  unsigned delivered : 2;
  unsigned received_epoch : 2;
  unsigned delivered_epoch : 2
}

/* What the world outside knows: see checker.pml. Sets of codes, one bit each. */
typedef record {
  unsigned accepted : 16;  /* send completed: stored */
  unsigned got : 16;       /* the peer's application has it, and its store knows */
  unsigned twice : 16;     /* the peer's application had it again */
  unsigned named : 16;     /* an event named it, on either side */
  unsigned vanished : 16;  /* accepted, and not in the copy that was put back */
  unsigned sends : 2;
  unsigned epoch : 2;      /* of the present start */
  unsigned created : 3;     /* the newest incarnation */
  unsigned era_epoch : 2;  /* the first epoch, and incarnation, after the store was lost */
  unsigned era_local : 3;
  unsigned told : 1;       /* an event said that this side's store was lost or went back */
  unsigned told_peer : 1;  /* the peer's application was told so */
  unsigned evident : 1     /* the other store can tell, so both have to be told */
}

cursors stored[2];
cursors current[2];
queues store[2];
life a_life[2];
record ghost[2];
frame net[4];    /* net[2 * to], net[2 * to + 1]: under way to a side */
frame out;       /* what is being sent; zero between two steps */
cursors copy;    /* of one store */
queues copy_queues;
unsigned copied : 2;   /* 1: there is a copy, 2: it was put back */

unsigned session_events : 3;
unsigned crashes : 2;
unsigned faults : 2;
bit calm;

/* Scratch: dead between two steps, so not part of a state. */
hidden byte i, j, n, s, e, x, nonce_;
hidden int used, named_now;
hidden byte has_ours, known, both, we_rolled_back, peer_rolled_back, peer_reset, local_store_lost, gap;
hidden byte repeats, moved, created_now, again;
hidden byte they_received, we_received, our_delivered, send_from, take_from;

#define ME a_life[me]
#define HE a_life[1 - me]
#define FLOWS(side) (a_life[side].phase == ESTABLISHED || a_life[side].phase == VERIFYING)
#define OUTBOX_EPOCH(b, q) ((b.outbox >> (2 * ((q) - 1))) & 3)
#define EARLY_EPOCH(q) ((ME.early >> (2 * ((q) - 1))) & 3)
#define INBOX_CODE(b, at) ((b.inbox >> (4 * (at))) & 15)

inline copy_cursors(to, from) {
  to.local_ = from.local_; to.peer = from.peer;
  to.former_peer = from.former_peer; to.former_received = from.former_received;
  to.outbox_first = from.outbox_first; to.outbox_next = from.outbox_next;
  to.acknowledged = from.acknowledged; to.erased_epoch = from.erased_epoch;
  to.received = from.received; to.delivered = from.delivered;
  to.received_epoch = from.received_epoch; to.delivered_epoch = from.delivered_epoch
}

#define SAME_CURSORS(a, b) ( \
  a.local_ == b.local_ && a.peer == b.peer && a.former_peer == b.former_peer && \
  a.former_received == b.former_received && a.outbox_first == b.outbox_first && \
  a.outbox_next == b.outbox_next && a.acknowledged == b.acknowledged && \
  a.erased_epoch == b.erased_epoch && a.received == b.received && a.delivered == b.delivered && \
  a.received_epoch == b.received_epoch && a.delivered_epoch == b.delivered_epoch)
