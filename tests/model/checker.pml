/* The checker: shares nothing with the protocol but the codes of messages. */

/* The other store holds, or was told, what a store that was put back does not know of. */
#define KNOWN_BY_STAMP(c) (COUNT(OTHER.seen) > COUNT(c.mark) || \
  (COUNT(OTHER.seen) == COUNT(c.mark) && OTHER.seen != c.mark))
#define KNOWN_BY_MESSAGE(c) (OTHER.follows == c.stream && SEQUENCE(OTHER.received) > SEQUENCE(c.tip))
#define KNOWN_BY_CLAIM \
  ((OTHER.stream == S.follows && OTHER.acknowledged > SEQUENCE(S.received)) || \
   (S.seen == 0 && OTHER.acknowledged > 0) || COUNT(OTHER.confirmed) > COUNT(S.seen))

/* An event names the messages of a side whose sequences are in a range. Each may have been lost, unless
   the outbox still has it, or be delivered again. An event of today says nothing of what is accepted
   tomorrow. */
inline name(whose, low, up_to) {
  named_now = 0;
  outbox_now = 0;
  e = 1;
  do
  :: e > MAX_LIFE -> break
  :: else ->
    s = low;
    do
    :: s > up_to || s > MAX_SEQUENCE -> break
    :: else -> named_now = named_now | (1 << CODE(e, s)); s++
    od;
    e++
  od;
  s = SEQUENCE(stored[whose].erased) + 1;
  do
  :: s > SEQUENCE(stored[whose].tip) -> break
  :: else ->
    outbox_now = outbox_now | (1 << CODE(LIFE_AT(stored[whose].tip, s), s));
    s++
  od;
  ghost[whose].uncertain = ghost[whose].uncertain | (named_now & ghost[whose].accepted);
  ghost[whose].lost = ghost[whose].lost | (named_now & ghost[whose].accepted & ~outbox_now)
}

/* This side went back: `store_lost` or `rolled_back`. */
inline report_own_loss(f) {
  assert(ghost[me].faults > 0);
#ifdef TOLD_ONCE
  assert(!ghost[me].told);
#endif
  ghost[me].told = 1;
  n = (f.follows != 0 && !ours -> 1 : SEQUENCE(M.erased) + 1);
  name(me, n, MAX_SEQUENCE);
  n = SEQUENCE(M.confirmed_place) + 1;
  name(1 - me, n, MAX_SEQUENCE)
}

/* The peer did: `peer_reset` or `peer_rolled_back`. */
inline report_adoption(f) {
  assert(ghost[1 - me].faults > 0);
#ifdef TOLD_ONCE
  assert(!ghost[1 - me].told_peer);
#endif
  ghost[1 - me].told_peer = 1;
  n = MIN(SEQUENCE(f.mark_place), SEQUENCE(M.erased)) + 1;
  x = SEQUENCE(M.tip);
  name(me, n, x);
  n = (theirs -> SEQUENCE(M.received) : MIN(SEQUENCE(M.received), SEQUENCE(f.erased))) + 1;
  name(1 - me, n, MAX_SEQUENCE)
}

inline report_gap(f) {
  assert(ghost[me].faults > 0 || ghost[1 - me].faults > 0);
  n = SEQUENCE(M.received) + 1;
  x = SEQUENCE(f.erased);
  name(1 - me, n, x)
}

/* The application of the other side has a message of `whose`, and the store knows. */
#ifdef STORE_FAULTS
#define IN_ORDER(g, code) true
#else
/* Not twice, and nothing before it is missing. */
#define IN_ORDER(g, code) (!(g.got & (1 << (code))) && \
  (g.accepted & ((1 << (code)) - 1) & ~g.got) == 0)
#endif
inline deliver(whose, code) {
  assert(ghost[whose].accepted & (1 << (code)));
  assert(IN_ORDER(ghost[whose], code));
  if
  :: ghost[whose].got & (1 << (code)) -> ghost[whose].twice = ghost[whose].twice | (1 << (code))
  :: else ->
    /* What comes for the first time comes in the order in which it was accepted. */
    assert((ghost[whose].got >> (code)) == 0);
    ghost[whose].got = ghost[whose].got | (1 << (code))
  fi
}

/* What is in commit is about to be stored. */
inline record_commit() {
  /* Within a lineage and a stream cursors only grow. */
  assert(COUNT(in_commit[me].mark) >= COUNT(S.mark));
  assert(SEQUENCE(in_commit[me].erased) >= SEQUENCE(S.erased));
  assert(in_commit[me].tip == S.tip || UP_TO(in_commit[me].tip, SEQUENCE(S.tip)) == S.tip);
  assert(in_commit[me].erased == UP_TO(in_commit[me].tip, SEQUENCE(in_commit[me].erased)));
  assert(in_commit[me].first >= S.first && in_commit[me].next_ >= S.next_);
  assert(in_commit[me].first <= in_commit[me].next_);
  assert(COUNT(in_commit[me].confirmed) <= COUNT(in_commit[me].mark));
  assert(in_commit[me].follows != S.follows || in_commit[me].seen != S.seen ||
         in_commit[me].base != S.base ||
         (in_commit[me].acknowledged >= S.acknowledged &&
          COUNT(in_commit[me].confirmed) >= COUNT(S.confirmed) &&
          SEQUENCE(in_commit[me].received) >= SEQUENCE(S.received) &&
          SEQUENCE(in_commit[me].delivered) >= SEQUENCE(S.delivered)));
  assert(in_commit[me].base != S.base || in_commit[me].follows != S.follows ||
         COUNT(in_commit[me].seen) >= COUNT(S.seen));
  if
  :: in_commit[me].tip != S.tip ->
    x = SEQUENCE(in_commit[me].tip);
    x = CODE(LIFE_AT(in_commit[me].tip, x), x);
    ghost[me].accepted = ghost[me].accepted | (1 << x);
#ifdef THAW
    /* A commit that is thawed stores its message again. */
    if
    :: copied == 2 -> ghost[me].vanished = ghost[me].vanished & ~(1 << x)
    :: else
    fi
#endif
  :: else
  fi;
  j = S.first;
  do
  :: j == in_commit[me].first -> break
  :: else ->
    if
    :: INBOX(me, j) != 0 -> x = INBOX(me, j); deliver(1 - me, x)
    :: else
    fi;
    j++
  od
}

#define CONFIRMED(side) (stored[side].erased == stored[side].tip && \
  stored[side].first == stored[side].next_ && !a_life[side].in_commit && \
  PEER_STORED(side) && SAME_CURSORS(stored[side], memory[side]))
#define SAME_SESSION (a_life[0].local_nonce == a_life[1].peer_nonce && \
  a_life[1].local_nonce == a_life[0].peer_nonce)
/* Each has stored the newest stamp of the other, and what it received last: no ack is news. */
#define KNOWS(side, other) (stored[side].seen == stored[other].mark && \
  stored[side].acknowledged == SEQUENCE(stored[other].received))
#define AGREED (KNOWS(0, 1) && KNOWS(1, 0))
#define QUIET (FLOWS(0) && FLOWS(1) && SAME_SESSION && AGREED && CONFIRMED(0) && CONFIRMED(1))

/* Lost without a word. What went with a store that was put back can be known only if the peer had
   heard anything of it: if nobody could tell, nobody has to. */
#define MISSING(whose) (ghost[whose].accepted & ~ghost[whose].got & ~ghost[whose].lost)
#define LOST(whose) (MISSING(whose) != 0 && \
  (ghost[whose].told || (MISSING(whose) & ~ghost[whose].vanished) != 0))
#define REPEATED(whose) ((ghost[1 - (whose)].told || ghost[1 - (whose)].faults == 0) && \
  (ghost[whose].twice & ~ghost[whose].uncertain) != 0)
#define UNTOLD(whose) (ghost[whose].evident && !(ghost[whose].told && ghost[whose].told_peer))
#define SILENT(whose) (LOST(whose) || REPEATED(whose) || UNTOLD(whose))
