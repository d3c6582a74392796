/* association.hpp, sender.hpp and receiver.hpp: sessions, messages, commits. */

inline end_session() {
  handshake_end();
  ME.sender_received = 0;
  ME.early = 0;
  ME.ack_due = 0;
  forget_hello();
  if
  :: ME.phase != RENEWING -> ME.phase = ABSENT
  :: else
  fi
}

inline start_handshake() {
  ME.network_up = 1;
  ME.phase = HANDSHAKING;
  handshake_end();
  challenge()
}

inline handle_session_up() {
  end_session();
  ME.network_up = 1;
  ME.away = 0;
  if
  :: ME.phase != RENEWING -> start_handshake()
  :: else
  fi
}

inline handle_session_down() {
  end_session();
  ME.network_up = 0;
  ME.away = 1
}

/* Messages to the application's side. */

inline accept(its_epoch) {
  assert(store[me].depth + ME.unstored < 6);
  current[me].received++;
  current[me].received_epoch = its_epoch;
  store[me].inbox = store[me].inbox |
    (CODE(its_epoch, current[me].received) << (4 * (store[me].depth + ME.unstored)));
  ME.unstored++
}

inline handle_data(f) {
  if
  :: f.first <= current[me].received -> ME.ack_due = calm
  :: f.first == current[me].received + 1 ->
    accept(f.first_epoch);
    do
    :: current[me].received < MAX_SEQUENCE && EARLY_EPOCH(current[me].received + 1) != 0 ->
      x = EARLY_EPOCH(current[me].received + 1);
      ME.early = ME.early & (63 - (3 << (2 * current[me].received)));
      accept(x)
    :: else -> break
    od
  :: f.first > current[me].received + 1 && EARLY_EPOCH(f.first) == 0 ->
    ME.early = ME.early | (f.first_epoch << (2 * (f.first - 1)));
    ME.ack_due = calm
  :: else -> ME.ack_due = calm
  fi
}

inline handle_ack(f) {
  if
  :: ME.phase == ESTABLISHED && ME.candidate == 0 ->
    /* error::acknowledged_unsent: an honest peer is never refused. */
    assert(f.received < stored[me].outbox_next);
#ifndef PLANT_CURSOR_GOES_BACK
    ME.sender_received = MAX(ME.sender_received, f.received);
#else
    ME.sender_received = f.received;
#endif
    handle_delivered(f.delivered, f.delivered_epoch);
    current[me].acknowledged = MAX(current[me].acknowledged, f.received)
  :: else
  fi
}

#define OF_SESSION(f) (ME.peer_nonce != 0 && f.nonce == ME.peer_nonce && f.echo == ME.local_nonce)

inline handle_frame(f, victim) {
  if
  :: f.kind == HELLO && ME.phase != RENEWING ->
    if
    :: ME.phase == ABSENT -> start_handshake()
    :: else
    fi;
    handle_hello(f, victim)
  :: f.kind == DATA && FLOWS(me) && OF_SESSION(f) ->
    if
    :: f.first == 0 -> ME.ack_due = calm
#ifndef PLANT_DATA_WHILE_PENDING
    :: f.first != 0 && ME.candidate != 0 -> skip
#endif
    :: else -> handle_data(f)
    fi
  :: f.kind == ACK && FLOWS(me) && OF_SESSION(f) -> handle_ack(f)
  :: else
  fi
}

/* The next message of the inbox, which the store has, goes to the application. What a former
   stream left is in front, and is not counted in `delivered`. */
#define LEFT (store[me].depth + ME.unstored - ME.consumed - \
  (current[me].received - current[me].delivered))

inline handle_consumed() {
  if
  :: LEFT > 0 -> skip
  :: else ->
    current[me].delivered++;
    current[me].delivered_epoch = INBOX_CODE(store[me], ME.consumed) >> 2
  fi;
  ME.consumed++
}

/* What leaves the process. */

inline send_data(sequence, victim) {
  out.kind = DATA;
  out.nonce = ME.local_nonce; out.echo = ME.peer_nonce;
  out.first = sequence;
  assert(sequence == 0 || OUTBOX_EPOCH(store[me], sequence) != 0);
  out.first_epoch = (sequence == 0 -> 0 : OUTBOX_EPOCH(store[me], sequence));
  ME.highest_sent = MAX(ME.highest_sent, sequence);
  put(1 - me, victim)
}

inline send_ack(victim) {
  out.kind = ACK;
  out.nonce = ME.local_nonce; out.echo = ME.peer_nonce;
#ifndef PLANT_ACK_BEFORE_COMMIT
  out.received = stored[me].received;
#else
  out.received = current[me].received;
#endif
  out.delivered = MIN(stored[me].delivered, out.received);
  out.delivered_epoch = stored[me].delivered_epoch;
  ME.ack_due = 0;
  put(1 - me, victim)
}

/* One atomic change of the store: all that memory is ahead, and `new_messages` sends. */
#define CHANGED (ME.consumed != 0 || ME.unstored != 0 || !SAME_CURSORS(stored[me], current[me]))

inline commit(new_messages) {
  created_now = current[me].local_ != stored[me].local_;
  moved = stored[me].received != current[me].received ||
    stored[me].delivered != current[me].delivered || stored[me].peer != current[me].peer ||
    ME.consumed != 0 || ME.unstored != 0;
  j = 0;
  do
  :: j < ME.consumed -> deliver(1 - me, INBOX_CODE(store[me], j)); j++
  :: else -> break
  od;
  store[me].inbox = store[me].inbox >> (4 * ME.consumed);
  store[me].depth = store[me].depth + ME.unstored - ME.consumed;
  ME.consumed = 0;
  ME.unstored = 0;
  if
  :: new_messages ->
    x = current[me].outbox_next;
    store[me].outbox = store[me].outbox | (ghost[me].epoch << (2 * (x - 1)));
    ghost[me].accepted = ghost[me].accepted | (1 << CODE(ghost[me].epoch, x));
    ghost[me].sends++;
    current[me].outbox_next++
  :: else
  fi;
  /* Within an incarnation a cursor only grows. */
  assert(current[me].outbox_first >= stored[me].outbox_first);
  assert(current[me].local_ != stored[me].local_ || current[me].peer != stored[me].peer ||
         (current[me].acknowledged >= stored[me].acknowledged &&
          current[me].received >= stored[me].received &&
          current[me].delivered >= stored[me].delivered));
  /* Erased at `delivered`. */
  store[me].outbox = store[me].outbox & (63 << (2 * (current[me].outbox_first - 1))) & 63;
  copy_cursors(stored[me], current[me]);
  ME.ack_due = ME.ack_due | (calm && moved);
  again = ME.phase == REFUSED && moved && ME.network_up;
  if
  :: created_now ->
    ghost[me].created = stored[me].local_;
    /* Who went back once creates an incarnation once. */
    assert(ghost[me].created <= 2);
    if
    :: ME.phase == RENEWING -> ME.phase = ABSENT; again = ME.network_up
    :: else
    fi
  :: else
  fi;
  if
  :: again -> start_handshake()
  :: else
  fi
}

/* The end of a process and the start of the next one. */

inline die() {
  store[me].inbox = store[me].inbox & ((1 << (4 * store[me].depth)) - 1);
  ME.consumed = 0; ME.unstored = 0; ME.session_was_open = 0; ME.retired = 0;
  ME.phase = ABSENT;
  ME.candidate = 0; ME.local_nonce = 0; ME.peer_nonce = 0; ME.echo = 0; ME.answer = 0;
  clear_watermarks();
  ME.sender_received = 0; ME.early = 0; ME.ack_due = 0; ME.hello_due = 0; ME.away = 0;
  forget_hello()
}

inline start() {
#ifdef PLANT_DELIVERED_LOST
  stored[me].delivered = 0;
  stored[me].delivered_epoch = 0;
#endif
  copy_cursors(current[me], stored[me]);
  ME.baseline_delivered = stored[me].delivered;
  ME.baseline_delivered_epoch = stored[me].delivered_epoch;
  ME.highest_sent = stored[me].outbox_next - 1;
  ghost[me].epoch++;
  start_handshake()
}

inline clear_cursors(c) {
  c.local_ = 0; c.peer = 0; c.former_peer = 0; c.former_received = 0; c.outbox_first = 0;
  c.outbox_next = 0; c.acknowledged = 0; c.erased_epoch = 0; c.received = 0; c.delivered = 0;
  c.received_epoch = 0; c.delivered_epoch = 0
}

inline new_store() {
  store[me].outbox = 0; store[me].inbox = 0; store[me].depth = 0;
  clear_cursors(stored[me]);
  ghost[me].created++;
  stored[me].local_ = ghost[me].created;
  stored[me].outbox_first = 1; stored[me].outbox_next = 1
}

inline lose_store() {
  /* If the other store knows the one that is lost, both sides have to be told; else nobody can. */
  ghost[me].evident = stored[1 - me].peer == stored[me].local_;
  ghost[me].vanished = (ghost[me].evident -> 0 : ghost[me].accepted);
  die();
  new_store();
  ghost[me].era_epoch = ghost[me].epoch + 1;
  ghost[me].era_local = ghost[me].created;
  start()
}

inline take_copy() {
  copy_cursors(copy, stored[me]);
  copy_queues.outbox = store[me].outbox; copy_queues.inbox = store[me].inbox &
    ((1 << (4 * store[me].depth)) - 1);
  copy_queues.depth = store[me].depth;
  ghost[me].vanished = ghost[me].accepted;
  copied = 1
}

inline put_copy_back() {
  die();
  ghost[me].vanished = ghost[me].accepted & ~ghost[me].vanished;
  copy_cursors(stored[me], copy);
  store[me].outbox = copy_queues.outbox;
  store[me].inbox = copy_queues.inbox;
  store[me].depth = copy_queues.depth;
  clear_cursors(copy);
  copy_queues.outbox = 0; copy_queues.inbox = 0; copy_queues.depth = 0;
  /* The other store holds, or was acknowledged, what the copy does not know of. */
  ghost[me].evident = stored[1 - me].peer == stored[me].local_ &&
    (stored[1 - me].received >= stored[me].outbox_next ||
     stored[1 - me].acknowledged > stored[me].received ||
     stored[1 - me].outbox_first - 1 > stored[me].delivered);
  copied = 2;
  start()
}
