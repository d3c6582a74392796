/* The network holds a frame a direction, which stays after it arrived, so it may arrive again; a new
   frame takes its place. LATE times in all it keeps one in `late`, to let it arrive much later. */

inline copy_frame(to, from) {
  to.kind = from.kind; to.nonce = from.nonce; to.echo = from.echo; to.proven = from.proven;
  to.mark = from.mark; to.mark_place = from.mark_place; to.confirmed = from.confirmed;
  to.seen = from.seen; to.received = from.received; to.acknowledged = from.acknowledged;
  to.base = from.base; to.origin = from.origin; to.stream = from.stream; to.erased = from.erased;
  to.follows = from.follows
}

inline clear_content(f) {
  f.mark = 0; f.mark_place = 0; f.confirmed = 0; f.seen = 0; f.received = 0; f.acknowledged = 0;
  f.base = 0; f.origin = 0; f.stream = 0; f.erased = 0; f.follows = 0
}

inline clear_frame(f) {
  f.kind = 0; f.nonce = 0; f.echo = 0; f.proven = 0;
  clear_content(f)
}

#define SAME_FRAME(a, b) ( \
  a.kind == b.kind && a.nonce == b.nonce && a.echo == b.echo && a.proven == b.proven && \
  a.mark == b.mark && a.mark_place == b.mark_place && a.confirmed == b.confirmed && \
  a.seen == b.seen && a.received == b.received && a.acknowledged == b.acknowledged && \
  a.base == b.base && a.origin == b.origin && a.stream == b.stream && a.erased == b.erased && \
  a.follows == b.follows)

#define HERE (net[me].kind != NONE)
#ifdef LATE
#define LATE_HERE (late.kind != NONE && late_to == me)
#define EMPTY (net[0].kind == NONE && net[1].kind == NONE && late.kind == NONE)
#else
#define EMPTY (net[0].kind == NONE && net[1].kind == NONE)
#endif
/* In a calm network a frame waits for the one before it. */
#define ROOM (!calm || net[1 - me].kind == NONE)

/* Sends `out` to the other side. */
inline put() {
  copy_frame(net[1 - me], out);
  clear_frame(out)
}

/* A nonce that a machine will have when it is thawed. */
#ifdef THAW
#define KEPT(side, member, v) (copied == 1 && ROLLED(side) && copy_life.member == (v))
#else
#define KEPT(side, member, v) false
#endif
#define HAS(side, member, v) (a_life[side].member == (v) || KEPT(side, member, v))
#define LIVE_NONCE(side, v) (HAS(side, candidate, v) || HAS(side, local_nonce, v))

/* A frame that can never count again is gone, and so is the content of a hello that no longer
   echoes a candidate, and a challenge that nobody waits for: candidates do not come back. */
inline tidy_frame(f, to) {
  if
  :: f.kind == CHALLENGE && f.nonce != a_life[1 - (to)].candidate -> clear_frame(f)
#ifdef PLANT_NO_ECHO
  :: f.kind == HELLO && f.echo != a_life[to].candidate -> skip
#else
  :: f.kind == HELLO && !HAS(to, candidate, f.echo) ->
    clear_content(f);
    if
    :: !HAS(to, peer_nonce, f.nonce) && !HAS(to, local_nonce, f.echo) &&
       !LIVE_NONCE(1 - (to), f.nonce) -> clear_frame(f)
    :: else
    fi
#endif
  :: (f.kind == DATA || f.kind == ACK) && !HAS(to, candidate, f.echo) &&
     !(HAS(to, local_nonce, f.echo) && HAS(to, peer_nonce, f.nonce)) -> clear_frame(f)
  :: else
  fi
}

/* The nonces of a side that anything still knows. */
inline nonces_in_use(side) {
  used = 1 | (1 << a_life[side].candidate) | (1 << a_life[side].local_nonce) |
         (1 << a_life[1 - (side)].answer) | (1 << a_life[1 - (side)].peer_nonce) |
         (1 << net[1 - (side)].nonce) | (1 << net[side].echo);
#ifdef LATE
  used = used | (1 << (late_to == (side) -> late.echo : late.nonce));
#endif
#ifdef THAW
  if
  :: ROLLED(side) -> used = used | (1 << copy_life.candidate) | (1 << copy_life.local_nonce)
  :: else -> used = used | (1 << copy_life.answer) | (1 << copy_life.peer_nonce)
  fi;
#endif
  skip
}

/* After every step: forgets what can no longer matter, so that equal worlds are equal states. */
inline tidy() {
  if
  :: a_life[0].answer != 0 && !LIVE_NONCE(1, a_life[0].answer) -> a_life[0].answer = 0
  :: else
  fi;
  if
  :: a_life[1].answer != 0 && !LIVE_NONCE(0, a_life[1].answer) -> a_life[1].answer = 0
  :: else
  fi;
  tidy_frame(net[0], 0); tidy_frame(net[1], 1);
#ifdef LATE
  tidy_frame(late, late_to);
  if
  :: late.kind == NONE -> late_to = 0
  :: else
  fi;
#endif
  skip
}
