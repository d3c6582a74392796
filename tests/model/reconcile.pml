/* reconcile.hpp, and what association.hpp makes of its outcome. */

inline reconcile(f) {
  has_ours = (f.peer == current[me].local_);
  known = (f.local_ == current[me].peer);
  our_delivered = (ME.session_was_open -> current[me].delivered : ME.baseline_delivered);
  they_received = (has_ours -> f.received : 0);
  we_received = (known -> current[me].received : 0);
  both = has_ours && known;
  we_rolled_back = (both && f.first - 1 > our_delivered) ||
    (has_ours && (f.received >= stored[me].outbox_next || f.acknowledged > we_received));
  peer_rolled_back = (both && f.delivered < ME.watermark_delivered) ||
    (known && (they_received < ME.watermark_acknowledged || f.next <= ME.watermark_received));
  peer_reset = current[me].peer != NONE && !known;
  local_store_lost = current[me].peer == NONE &&
    (has_ours -> f.former_peer != NONE : f.peer != NONE);
  send_from = MAX(current[me].outbox_first, they_received + 1);
  take_from = MAX(f.first, we_received + 1)
}

inline tell_reset(f) {
  if
  :: peer_reset ->
    assert(ghost[1 - me].era_epoch || copied == 2);
    name(me, ERA_NOW(me), current[me].outbox_first, ME.highest_sent);
    name_unsent(1 - me, ERA_OF(1 - me, current[me].peer), current[me].received + 1);
    ghost[1 - me].told_peer = 1
  :: else ->
    assert(ghost[me].era_epoch || (copied == 2 && ROLLED(me)));
    x = (has_ours -> f.former_received : f.received);
    name(me, 0, x + 1, MAX_SEQUENCE);
    name(1 - me, ERA_OF(1 - me, f.local_), 1, f.first - 1);
    ghost[me].told = 1
  fi
}

/* Takes the peer's incarnation, and starts its stream where it says if ours ended elsewhere. */
inline adopt(f) {
  gap = known && take_from > current[me].received + 1;
  if
  :: known && has_ours -> current[me].former_peer = NONE; current[me].former_received = 0
  :: else
  fi;
  if
  :: known && !gap -> skip
  :: else ->
    if
    :: gap ->
      assert(ghost[0].era_epoch || ghost[1].era_epoch || copied == 2);
      name(1 - me, ERA_OF(1 - me, f.local_), current[me].received + 1, take_from - 1)
    :: else
    fi;
    if
    :: peer_reset ->
      current[me].former_peer = current[me].peer;
      current[me].former_received = current[me].received
    :: else
    fi;
#ifdef PLANT_RECEIVED_KEPT
    if
    :: current[me].received < take_from - 1 || !peer_reset ->
#endif
    current[me].received = take_from - 1;
    current[me].delivered = take_from - 1;
    current[me].received_epoch = f.first_epoch;
    current[me].delivered_epoch = f.first_epoch;
#ifdef PLANT_RECEIVED_KEPT
    :: else
    fi;
#endif
    if
    :: !known -> current[me].acknowledged = 0
    :: else
    fi;
    current[me].peer = f.local_
  fi
}

inline forget_hello() {
  ME.peer_hello_received = 0; ME.peer_hello_received_epoch = 0; ME.peer_hello_delivered = 0;
  ME.peer_hello_delivered_epoch = 0; ME.peer_hello_first = 0; ME.peer_hello_first_epoch = 0;
  ME.peer_hello_acknowledged = 0;
  ME.has_ours = 0; ME.known = 0
}

inline handle_delivered(to, its_epoch) {
  if
  :: (to) > current[me].outbox_first - 1 ->
    current[me].outbox_first = (to) + 1;
    current[me].erased_epoch = its_epoch
#ifdef PLANT_CURSOR_GOES_BACK
  :: (to) < current[me].outbox_first - 1 ->
    current[me].outbox_first = (to) + 1
#endif
  :: else
  fi
}

/* Both sides mean the same messages by the same numbers: the hello counts as an ack. */
inline verified() {
  ME.phase = ESTABLISHED;
  ME.baseline_delivered = current[me].delivered;
  if
  :: ME.has_ours ->
    handle_delivered(ME.peer_hello_delivered, ME.peer_hello_delivered_epoch);
    current[me].acknowledged = MAX(current[me].acknowledged, ME.peer_hello_received)
  :: else
  fi;
  forget_hello()
}

/* This side's store is older than what the peer knows of it. */
inline roll_back(victim) {
  assert(copied == 2 && ROLLED(me));
  if
  :: ME.answer -> send_answer(victim)
  :: else
  fi;
  name(me, ERA_NOW(me), current[me].outbox_first, ME.peer_hello_received);
  x = (ME.known -> ME.baseline_delivered : 0);
  if
  :: ME.peer_hello_first - 1 > x -> skip
  :: else -> x = (ME.known -> current[me].received : 0)
  fi;
  n = MAX(ME.peer_hello_acknowledged, ME.peer_hello_first - 1);
  name(1 - me, ERA_OF(1 - me, current[me].peer), x + 1, n);
  ghost[me].told = 1;
#ifndef PLANT_CONFIRMED_FORGOTTEN
  /* What the lost history confirmed stays confirmed, though the copy delivers it again. */
  if
  :: ME.known && ME.peer_hello_first - 1 > current[me].delivered &&
     ME.peer_hello_first - 1 <= current[me].received ->
    current[me].delivered = ME.peer_hello_first - 1;
    current[me].delivered_epoch = ME.peer_hello_first_epoch
  :: else
  fi;
  ME.baseline_delivered = current[me].delivered;
  ME.baseline_delivered_epoch = (ME.session_was_open -> 0 : current[me].delivered_epoch);
#endif
  end_session();
  ME.phase = RENEWING;
  /* A number that never was stored was never shown, and can be used again. */
  current[me].local_ = ghost[me].created + 1;
  current[me].acknowledged = 0
}

inline refuse(f) {
  assert(copied == 2 && ROLLED(1 - me));
  x = (has_ours -> f.received : 0);
  name(me, ERA_NOW(me), x + 1, ME.watermark_acknowledged);
  name(1 - me, ERA_OF(1 - me, f.local_), f.next, ME.watermark_received);
  ghost[1 - me].told_peer = 1;
  ME.early = 0;
  ME.sender_received = 0;
  forget_hello();
  ME.phase = REFUSED
}

/* A proven hello: decides how the two streams go on. */
inline handle_proven(f, victim) {
  reconcile(f);
  ME.peer_hello_received = f.received; ME.peer_hello_received_epoch = f.received_epoch;
  ME.peer_hello_delivered = f.delivered; ME.peer_hello_delivered_epoch = f.delivered_epoch;
  ME.peer_hello_first = f.first; ME.peer_hello_first_epoch = f.first_epoch;
  ME.peer_hello_acknowledged = f.acknowledged;
  ME.has_ours = has_ours; ME.known = known;
  if
  :: we_rolled_back -> roll_back(victim)
  :: !we_rolled_back && peer_rolled_back -> refuse(f)
  :: else ->
    /* open_session */
    ME.session_was_open = 1;
    ME.baseline_delivered_epoch = 0;
    if
    :: peer_reset || local_store_lost -> tell_reset(f)
    :: else
    fi;
    adopt(f);
    ME.early = 0;
    ME.sender_received = send_from - 1;
    ME.phase = VERIFYING;
    ME.ack_due = calm;
    x = (has_ours -> f.received : 0);
    if
    :: x == 0 || x < current[me].outbox_first - 1 -> verified()
    :: else
    fi
  fi
}

/* The epoch of the last message that the peer has: from memory, or from a page of the store, some
   time later. */
inline handle_page(victim) {
  if
  :: ME.peer_hello_received == current[me].outbox_first - 1 -> e = current[me].erased_epoch
  :: else -> e = OUTBOX_EPOCH(store[me], ME.peer_hello_received)
  fi;
#ifdef PLANT_NO_EPOCHS
  e = ME.peer_hello_received_epoch;
#endif
  if
  :: e != ME.peer_hello_received_epoch -> roll_back(victim)
  :: else -> verified()
  fi
}
