/* reconcile.hpp: what a claim means. */

/* The rules by which this side finds out that its store went back: `back`, for a claim and the
   common ground (knows, ours, theirs). */
inline judge(f) {
  back = 0;
  if
  :: !knows ->
    back = COUNT(f.seen) > (M.confirmed != 0 -> COUNT(M.confirmed) : COUNT(M.parted));
#ifndef PLANT_NO_PARTED
    back = back && f.seen != M.parted && f.seen != M.former;
#endif
  :: else ->
    back = COUNT(f.seen) > COUNT(M.mark) ||
      (COUNT(f.seen) == COUNT(M.mark) && f.seen != M.mark) ||
      (COUNT(f.seen) == COUNT(M.confirmed) && f.seen != M.confirmed) ||
      (COUNT(f.seen) >= COUNT(M.stream) && !ours);
#ifndef PLANT_MISSES_RECEIVED
    back = back || (theirs && f.acknowledged > SEQUENCE(M.received)) ||
      (!theirs && M.seen == 0 && f.acknowledged > 0);
#endif
#ifndef PLANT_MISSES_SEEN
    back = back || COUNT(f.confirmed) > COUNT(M.seen) ||
      (COUNT(f.confirmed) == COUNT(M.seen) && f.confirmed != M.seen);
#endif
  fi;
  back = back || (ours && SEQUENCE(f.received) > SEQUENCE(M.tip))
}

/* This side has what the peer received last, by its hash. */
#define SAME_MESSAGES(f) (f.received == UP_TO(M.tip, SEQUENCE(f.received)))

inline break_history(f) {
  M.former = M.mark;
  highest = MAX(COUNT(M.mark), COUNT(in_commit[me].mark));
  highest = MAX(highest, COUNT(f.seen));
  M.mark = STAMP(highest + 1, ghost[me].life);
  M.mark_place = M.confirmed_place;
  M.base = highest + 1;
  M.origin = (M.seen != 0 -> ROLLED_BACK : STORE_LOST);
  M.parted = f.seen;
  assert(highest < 14);
  if
#ifndef PLANT_STREAM_KEPT
  :: !(held && SAME_MESSAGES(f)) -> M.stream = M.mark; M.acknowledged = 0
#endif
  :: else
  fi
}

inline adopt_history(f) {
  M.seen = f.mark;
  M.confirmed = 0;
#ifndef PLANT_ACKNOWLEDGED_KEPT
  M.acknowledged = 0;
#endif
  if
  :: theirs
  :: else ->
    M.follows = f.stream;
    M.mark_place = f.erased;
    M.confirmed_place = f.erased
  fi
}

/* receiver::adopt */
inline adopt_stream(f) {
  if
  :: first_contact -> M.first = SEQUENCE(f.erased) + 1; M.next_ = M.first
  :: else
  fi;
  M.start = M.next_;
#ifndef PLANT_RECEIVED_KEPT
  M.received = f.erased;
#else
  M.received = (first_contact -> f.erased : M.received);
#endif
  M.delivered = f.erased
}

/* The claim of a side that is in order: its stamps, and what it has received. */
inline apply(f, follows) {
  if
  :: f.seen == M.mark && M.confirmed != M.mark ->
    M.confirmed = M.mark;
    M.confirmed_place = M.mark_place
  :: else
  fi;
  if
#ifndef PLANT_CURSOR_GOES_BACK
  :: ME.peer_base <= COUNT(M.seen) && COUNT(f.mark) > COUNT(M.seen) -> M.seen = f.mark
#else
  :: ME.peer_base <= COUNT(M.seen) -> M.seen = f.mark
#endif
  :: else
  fi;
  if
  :: follows ->
    assert(SEQUENCE(f.received) <= SEQUENCE(S.tip));
    M.acknowledged = MAX(M.acknowledged, SEQUENCE(f.received));
    if
    :: ME.acknowledged < SEQUENCE(f.received) -> ME.acknowledged = SEQUENCE(f.received)
    :: else
    fi;
    if
    :: f.mark == M.seen && SEQUENCE(f.mark_place) > SEQUENCE(M.erased) ->
      assert(SEQUENCE(f.mark_place) <= ME.acknowledged);
      M.erased = f.mark_place
    :: else
    fi
  :: else
  fi
}

inline handle_went_back(f) {
  report_own_loss(f);
  end_session();
  ME.phase = RENEWING;
  break_history(f)
}

/* The peer told of a stamp of its that its store does not have any more: a hello shows it so. */
#define PEER_IS_BEHIND(f) (f.base <= COUNT(M.seen) && \
  (COUNT(f.mark) < COUNT(M.seen) || (COUNT(f.mark) == COUNT(M.seen) && f.mark != M.seen)))
inline show_loss(f) {
  restart_session();
  ME.answer = f.nonce
}

inline handle_fresh_hello(f) {
  knows = f.seen != 0 && COUNT(f.seen) >= M.base;
  ours = f.follows == M.stream;
  theirs = f.stream == M.follows;
  held = ours && SEQUENCE(f.received) >= SEQUENCE(M.erased) &&
    SEQUENCE(f.received) <= SEQUENCE(M.tip);
  judge(f);
#ifndef PLANT_OTHER_MESSAGE
  back = back || (held && !SAME_MESSAGES(f));
#endif
  if
  :: back -> handle_went_back(f)
  :: !back && M.seen != 0 && PEER_IS_BEHIND(f) -> show_loss(f)
  :: else ->
    first_contact = M.seen == 0;
    if
    :: first_contact || f.base > COUNT(M.seen) ->
      if
      :: !first_contact -> report_adoption(f)
      :: else
      fi;
      if
      :: !theirs -> adopt_stream(f)
      :: else
      fi;
      if
      :: theirs && SEQUENCE(f.erased) > SEQUENCE(M.received) -> report_gap(f); adopt_stream(f)
      :: else
      fi;
      adopt_history(f)
    :: else ->
      if
      :: theirs && SEQUENCE(f.erased) > SEQUENCE(M.received) -> report_gap(f); adopt_stream(f)
      :: else
      fi
    fi;
    ME.peer_base = f.base;
    ME.peer_first = (f.stream == M.follows -> SEQUENCE(f.erased) + 1 : 0);
    ME.acknowledged = (held -> SEQUENCE(f.received) : SEQUENCE(M.erased));
    ME.phase = ESTABLISHED;
    ME.ack_due = calm;
    apply(f, ours)
  fi
}

/* Whether an ack speaks of the history that this side has; else hellos tell. */
inline handle_ack(f) {
  knows = 1; ours = 1; theirs = 1;
  judge(f);
  if
  :: back ||
     (f.mark == M.seen && SEQUENCE(f.received) < SEQUENCE(M.erased)) ||
     (SEQUENCE(f.received) > ME.acknowledged && !SAME_MESSAGES(f)) -> restart_session()
  :: else -> apply(f, 1)
  fi
}
