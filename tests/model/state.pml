/* What the model remembers. Names are those of the code; README.md of this folder maps them. */

#define NONE 0
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* A life of a side begins with a process; there are up to three, 1 to 3. The random bits of a stamp
   are the life that drew them: a life never gives the same count twice. None: 0. */
#define STAMP(n, life) ((n) * 4 + (life))
#define COUNT(s) ((s) >> 2)

/* A message is named by the life that accepted it and its sequence, 1 to 3. */
#define MAX_SEQUENCE 3
#define MAX_LIFE 3
#define CODE(life, q) ((life) * 4 + (q))

/* A *place* in a stream is a sequence and the running hash there: the life that created the store, and
   those that accepted each message, two bits each, the first one lowest. None: 0. */
#define SEQUENCE(p) ((p) >> 6 != 0 -> 3 : ((p) >> 4 != 0 -> 2 : ((p) >> 2 != 0 -> 1 : 0)))
#define UP_TO(p, q) ((p) & ((1 << (2 * (q) + 2)) - 1))
#define LIFE_AT(p, q) (((p) >> (2 * (q))) & 3)
#define NEXT(p, life) ((p) | ((life) << (2 * SEQUENCE(p) + 2)))

/* enum phase of session.hpp */
#define HANDSHAKING 0
#define ESTABLISHED 1
#define RENEWING 2

/* lineage_origin */
#define CREATED 0
#define STORE_LOST 1
#define ROLLED_BACK 2

/* struct cursors of stored.hpp. Sequences are those of the places. */
typedef cursors {
  unsigned mark : 6;
  unsigned mark_place : 8;
  unsigned confirmed : 6;
  unsigned confirmed_place : 8;
  unsigned base : 4;
  unsigned origin : 2;
  unsigned parted : 6;
  unsigned former : 6;
  unsigned seen : 6;
  unsigned stream : 6;        /* outbox: `tip` is the place of the last message */
  unsigned acknowledged : 2;
  unsigned first : 3;         /* inbox: `first` and `next_` are indices */
  unsigned erased : 8;
  unsigned tip : 8;
  unsigned received : 8;
  unsigned delivered : 8;
  unsigned next_ : 3;
  unsigned start : 3;
  unsigned follows : 6
}

/* What dies with a process, besides cursors: session, handshake, sender, durable_state. */
typedef process {
  unsigned phase : 2;
  /* handshake */
  unsigned candidate : 4;
  unsigned local_nonce : 4;
  unsigned peer_nonce : 4;
  unsigned answer : 4;
  unsigned due : 1;
  /* sender::acknowledged_ */
  unsigned acknowledged : 2;
  /* durable_state */
  unsigned in_commit : 1;
  unsigned news : 1;
  unsigned peer_base : 4;
  unsigned peer_first : 3;
  /* due at once, once all is calm */
  unsigned ack_due : 1
}

#define CHALLENGE 1
#define HELLO 2
#define DATA 3
#define ACK 4

/* A frame. The session of data and acks is (nonce, echo): the sender's and the receiver's nonce.
   `received` of data is the place that the message leads to; 0: a ping. */
typedef frame {
  unsigned kind : 3;
  unsigned nonce : 4;
  unsigned echo : 4;
  unsigned proven : 1;
  /* claim */
  unsigned mark : 6;
  unsigned mark_place : 8;
  unsigned confirmed : 6;
  unsigned seen : 6;
  unsigned received : 8;
  unsigned acknowledged : 2;
  /* hello */
  unsigned base : 4;
  unsigned origin : 2;
  unsigned stream : 6;
  unsigned erased : 8;
  unsigned follows : 6
}

/* What the world outside knows: see checker.pml. Sets of codes, one bit each. */
typedef record {
  unsigned accepted : 16;   /* send completed: stored */
  unsigned got : 16;        /* the peer's application has it, and its store knows */
  unsigned twice : 16;      /* the peer's application had it again */
  unsigned uncertain : 16;  /* an event named it, on either side */
  unsigned lost : 16;       /* ... when it was not in the outbox any more */
  unsigned vanished : 16;   /* accepted, and not in the store that was put back */
  unsigned sends : 2;
  unsigned life : 2;
  unsigned faults : 2;    /* how often this side went back */
  unsigned told : 1;      /* an event said so, here */
  unsigned told_peer : 1; /* ... and to the peer's application */
  unsigned evident : 1    /* the other store can tell, so both have to be told */
}

cursors stored[2];
cursors in_commit[2];  /* zero if nothing is in commit */
cursors memory[2];     /* association::current() */
int inbox[2];          /* the codes of messages accepted, four bits an index */
process a_life[2];
record ghost[2];
frame net[2];          /* under way to a side */
#ifdef LATE
frame late;            /* ... to `late_to`, since long ago */
bit late_to;
unsigned lates : 2;
#endif
hidden frame out;      /* what is being sent */

#ifdef STORE_FAULTS
cursors copy;          /* of one store */
int copy_inbox;
unsigned copied : 2;   /* 1: there is a copy, 2: it was put back */
#ifdef THAW
cursors copy_memory;   /* ... and of the process that goes back with it */
cursors copy_in_commit;
process copy_life;
#endif
#endif

unsigned session_events : 2;
unsigned crashes : 2;
bit calm;
bit settled;  /* all was quiet in the calm */

/* Scratch: dead between two steps, so not part of a state. */
hidden byte i, j, n, s, e, x, nonce_, highest;
hidden int used, named_now, outbox_now;
hidden byte knows, ours, theirs, back, held, first_contact, stamp_due, moved;

#define ME a_life[me]
#define HE a_life[1 - me]
#define M memory[me]
#define S stored[me]
#define FLOWS(side) (a_life[side].phase == ESTABLISHED)
#define INBOX(side, index) ((inbox[side] >> (4 * (index))) & 15)

inline copy_cursors(to, from) {
  to.mark = from.mark; to.mark_place = from.mark_place; to.confirmed = from.confirmed;
  to.confirmed_place = from.confirmed_place; to.base = from.base; to.origin = from.origin;
  to.parted = from.parted; to.former = from.former; to.seen = from.seen; to.stream = from.stream;
  to.erased = from.erased; to.tip = from.tip; to.acknowledged = from.acknowledged;
  to.follows = from.follows; to.first = from.first; to.next_ = from.next_; to.start = from.start;
  to.received = from.received; to.delivered = from.delivered
}

inline clear_cursors(c) {
  c.mark = 0; c.mark_place = 0; c.confirmed = 0; c.confirmed_place = 0; c.base = 0; c.origin = 0;
  c.parted = 0; c.former = 0; c.seen = 0; c.stream = 0; c.erased = 0; c.tip = 0;
  c.acknowledged = 0; c.follows = 0; c.first = 0; c.next_ = 0; c.start = 0; c.received = 0;
  c.delivered = 0
}

#define SAME_CURSORS(a, b) ( \
  a.mark == b.mark && a.mark_place == b.mark_place && a.confirmed == b.confirmed && \
  a.confirmed_place == b.confirmed_place && a.base == b.base && a.origin == b.origin && \
  a.parted == b.parted && a.former == b.former && a.seen == b.seen && a.stream == b.stream && \
  a.erased == b.erased && a.tip == b.tip && a.acknowledged == b.acknowledged && \
  a.follows == b.follows && a.first == b.first && a.next_ == b.next_ && a.start == b.start && \
  a.received == b.received && a.delivered == b.delivered)

#ifdef THAW
inline copy_process(to, from) {
  to.phase = from.phase; to.candidate = from.candidate; to.local_nonce = from.local_nonce;
  to.peer_nonce = from.peer_nonce; to.answer = from.answer; to.due = from.due;
  to.acknowledged = from.acknowledged; to.in_commit = from.in_commit; to.news = from.news;
  to.peer_base = from.peer_base; to.peer_first = from.peer_first; to.ack_due = from.ack_due
}
inline clear_process(p) {
  p.phase = 0; p.candidate = 0; p.local_nonce = 0; p.peer_nonce = 0; p.answer = 0; p.due = 0;
  p.acknowledged = 0; p.in_commit = 0; p.news = 0; p.peer_base = 0; p.peer_first = 0;
  p.ack_due = 0
}
#endif
