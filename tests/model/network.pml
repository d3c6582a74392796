/* The network keeps two frames a direction. A frame stays after it arrived, so it may arrive again,
   before or after the other one; a new frame takes the place of either, or is lost. */

inline copy_frame(to, from) {
  to.kind = from.kind; to.nonce = from.nonce; to.echo = from.echo; to.proven = from.proven;
  to.local_ = from.local_; to.peer = from.peer;
  to.former_peer = from.former_peer; to.former_received = from.former_received;
  to.first = from.first; to.next = from.next; to.first_epoch = from.first_epoch;
  to.acknowledged = from.acknowledged; to.received = from.received; to.delivered = from.delivered;
  to.received_epoch = from.received_epoch; to.delivered_epoch = from.delivered_epoch
}

inline clear_content(f) {
  f.local_ = 0; f.peer = 0; f.former_peer = 0; f.former_received = 0; f.first = 0; f.next = 0;
  f.first_epoch = 0; f.acknowledged = 0; f.received = 0; f.delivered = 0; f.received_epoch = 0;
  f.delivered_epoch = 0
}

inline clear_frame(f) {
  f.kind = 0; f.nonce = 0; f.echo = 0; f.proven = 0;
  clear_content(f)
}

#define SAME_FRAME(a, b) ( \
  a.kind == b.kind && a.nonce == b.nonce && a.echo == b.echo && a.proven == b.proven && \
  a.local_ == b.local_ && a.peer == b.peer && a.former_peer == b.former_peer && \
  a.former_received == b.former_received && a.first == b.first && a.next == b.next && \
  a.first_epoch == b.first_epoch && a.acknowledged == b.acknowledged && \
  a.received == b.received && a.delivered == b.delivered && \
  a.received_epoch == b.received_epoch && a.delivered_epoch == b.delivered_epoch)

#define FULL(to) (net[2 * (to)].kind != NONE && net[2 * (to) + 1].kind != NONE)
#define EMPTY(to) (net[2 * (to)].kind == NONE && net[2 * (to) + 1].kind == NONE)
/* Whether it makes a difference which frame a new one replaces; in a calm network it waits. */
#define ROOM(to, victim) (calm -> (victim == 0 && !FULL(to)) : (victim == 0 || FULL(to)))

/* Sends `out` to the side `to`, in place of `victim` if there is no room. */
inline put(to, victim) {
  n = 2 * (to) + victim;
  if
  :: net[2 * (to)].kind == NONE -> n = 2 * (to)
  :: else ->
    if
    :: net[2 * (to) + 1].kind == NONE -> n = 2 * (to) + 1
    :: else
    fi
  fi;
  if
  :: SAME_FRAME(out, net[2 * (to)]) || SAME_FRAME(out, net[2 * (to) + 1])
  :: else -> copy_frame(net[n], out)
  fi;
  clear_frame(out)
}

#define LIVE_NONCE(side, v) (a_life[side].candidate == (v) || a_life[side].local_nonce == (v))

/* A frame that can never count again is gone, and so is the content of a hello that no longer
   echoes a candidate: candidates do not come back. What a hello of long ago still does, to begin a
   handshake, `nudge` does at any time. */
inline tidy_frame(f, to) {
  if
#ifdef PLANT_NO_ECHO
  :: f.kind == HELLO && LIVE_NONCE(1 - (to), f.nonce)
#endif
  :: f.kind == HELLO && (f.echo == 0 || f.echo != a_life[to].candidate) ->
    f.echo = 0;
    clear_content(f);
    if
    :: a_life[to].peer_nonce == f.nonce ->
      if
      :: f.proven && !LIVE_NONCE(1 - (to), f.nonce) -> clear_frame(f)
      :: else
      fi
    :: a_life[to].peer_nonce != f.nonce && !LIVE_NONCE(1 - (to), f.nonce) -> clear_frame(f)
    :: else -> f.proven = 0
    fi
  :: (f.kind == DATA || f.kind == ACK) && a_life[to].candidate != f.echo &&
     !(a_life[to].local_nonce == f.echo && a_life[to].peer_nonce == f.nonce) -> clear_frame(f)
  :: else
  fi
}

#define RANK(f) (f.kind * 2048 + f.nonce * 128 + f.first * 32 + f.received * 8 + f.delivered * 2 + \
                 f.proven)

/* The order of the two slots means nothing. */
inline order(to) {
  if
  :: net[2 * (to)].kind != NONE && SAME_FRAME(net[2 * (to)], net[2 * (to) + 1]) ->
    clear_frame(net[2 * (to) + 1])
  :: else
  fi;
  if
  :: RANK(net[2 * (to)]) < RANK(net[2 * (to) + 1]) ->
    copy_frame(out, net[2 * (to)]);
    copy_frame(net[2 * (to)], net[2 * (to) + 1]);
    copy_frame(net[2 * (to) + 1], out);
    clear_frame(out)
  :: else
  fi
}

/* The nonces of a side that anything still knows. */
inline nonces_in_use(side) {
  used = 1 | (1 << a_life[side].candidate) | (1 << a_life[side].local_nonce) |
         (1 << a_life[1 - (side)].echo) | (1 << a_life[1 - (side)].peer_nonce) |
         (1 << net[2 * (1 - (side))].nonce) | (1 << net[2 * (1 - (side)) + 1].nonce) |
         (1 << net[2 * (side)].echo) | (1 << net[2 * (side) + 1].echo)
}

/* After every step: forgets what can no longer matter, so that equal worlds are equal states. */
inline tidy() {
  tidy_frame(net[0], 0); tidy_frame(net[1], 0); tidy_frame(net[2], 1); tidy_frame(net[3], 1);
  order(0); order(1);
  nonces_in_use(0); a_life[1].retired = a_life[1].retired & used & ~1;
  nonces_in_use(1); a_life[0].retired = a_life[0].retired & used & ~1
}
