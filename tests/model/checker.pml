/* The checker: shares nothing with the protocol but the codes of messages. */

/* The store of a side was lost at most once: before that its messages are of era 0, then of 1. */
#define ERA_NOW(side) (ghost[side].era_epoch != 0)
#define ERA_OF(side, its_local) (ghost[side].era_local != 0 && (its_local) >= ghost[side].era_local)
#ifndef ROLLS
#define ROLLS 9
#endif
#define ROLLED(side) ((side) == ROLLS)

/* An event names the messages of a side, of one era, whose sequences are in a range. An event of
   today says nothing of what is accepted tomorrow. */
inline name(whose, which, low, up_to) {
  named_now = 0;
  e = 1;
  do
  :: e > MAX_EPOCH -> break
  :: else ->
    s = low;
    do
    :: s > up_to || s > MAX_SEQUENCE -> break
    :: else ->
      if
      :: (ghost[whose].era_epoch != 0 && e >= ghost[whose].era_epoch) == (which) ->
        named_now = named_now | (1 << CODE(e, s))
      :: else
      fi;
      s++
    od;
    e++
  od;
  ghost[whose].named = ghost[whose].named | (named_now & ghost[whose].accepted)
}

/* "What the old incarnation may have accepted and will now never send": not what its successor
   still has. */
inline name_unsent(whose, which, low) {
  used = ghost[whose].named;
  name(whose, which, low, MAX_SEQUENCE);
  s = stored[whose].outbox_first;
  do
  :: s >= stored[whose].outbox_next -> break
  :: else ->
    x = CODE(OUTBOX_EPOCH(store[whose], s), s);
    if
    :: !(used & (1 << x)) -> ghost[whose].named = ghost[whose].named & (65535 - (1 << x))
    :: else
    fi;
    s++
  od
}

/* The application of the other side has a message of `of`, and the store knows. */
inline deliver(whose, code) {
  assert(ghost[whose].accepted & (1 << (code)));
  if
  :: ghost[whose].got & (1 << (code)) ->
    ghost[whose].twice = ghost[whose].twice | (1 << (code));
#ifndef STORE_FAULTS
    assert(false)  /* a message came twice */
#endif
  :: else ->
    /* What comes for the first time comes in the order in which it was accepted. */
    assert((ghost[whose].got >> (code)) == 0);
    ghost[whose].got = ghost[whose].got | (1 << (code));
#ifndef STORE_FAULTS
    /* ... and nothing before it is missing. */
    assert((ghost[whose].accepted & ((1 << (code)) - 1) & ~ghost[whose].got) == 0);
#endif
  fi
}

#define CONFIRMED(side) (stored[side].outbox_first == stored[side].outbox_next && \
  current[side].outbox_first == stored[side].outbox_next && store[side].depth == 0 && \
  stored[side].peer == current[side].peer)
#define SAME_SESSION (a_life[0].local_nonce == a_life[1].peer_nonce && \
  a_life[1].local_nonce == a_life[0].peer_nonce)
#define QUIET (a_life[0].phase == ESTABLISHED && a_life[1].phase == ESTABLISHED && SAME_SESSION && \
  CONFIRMED(0) && CONFIRMED(1) && a_life[0].unstored == 0 && a_life[1].unstored == 0)

/* Lost without a word. What went with a store that was put back can be known only if the peer had
   heard anything of it: if nobody could tell, nobody has to. */
#define MISSING(whose) (ghost[whose].accepted & ~ghost[whose].got & ~ghost[whose].named)
#define LOST(whose) (MISSING(whose) != 0 && \
  (ghost[whose].told || (MISSING(whose) & ~ghost[whose].vanished) != 0))
#define REPEATED(whose) ((ghost[1 - (whose)].told || !ROLLED(1 - (whose))) && \
  (ghost[whose].twice & ~ghost[whose].named) != 0)
#define UNTOLD(whose) (ghost[whose].evident && !(ghost[whose].told && ghost[whose].told_peer))
#define SILENT(whose) (LOST(whose) || REPEATED(whose) || UNTOLD(whose))
