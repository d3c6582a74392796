/* handshake.hpp and session.hpp: nonces, challenges, hellos. */

/* A random number that nothing in the world knows. */
inline draw() {
  nonces_in_use(me);
  nonce_ = 1;
  do
  :: used & (1 << nonce_) -> nonce_++
  :: else -> break
  od;
  assert(nonce_ < 16);
  ME.candidate = nonce_
}

inline handshake_end() {
  ME.candidate = 0; ME.local_nonce = 0; ME.peer_nonce = 0; ME.answer = 0; ME.due = 0
}

inline start_handshake() {
  handshake_end();
  ME.phase = HANDSHAKING;
  draw()
}

/* durable_state::peer_is_stored */
#define PEER_STORED(side) (stored[side].seen != 0 && \
  COUNT(stored[side].seen) >= a_life[side].peer_base && \
  stored[side].follows == memory[side].follows && \
  SEQUENCE(stored[side].received) + 1 >= a_life[side].peer_first)

/* association::may_send_hello */
#ifndef PLANT_HELLO_BEFORE_SEEN
#define SEEN_STORED (S.seen == M.seen)
#else
#define SEEN_STORED true
#endif
#ifndef PLANT_HELLO_BEFORE_RECEIVED
#define RECEIVED_STORED (S.received == M.received)
#else
#define RECEIVED_STORED true
#endif
#define HELLO_READY (SEEN_STORED && RECEIVED_STORED && (!FLOWS(me) || PEER_STORED(me)))
#define MAY_HELLO (ME.phase != RENEWING && HELLO_READY)

#ifndef PLANT_CLAIM_FROM_MEMORY
#define TOLD stored[me]
#else
#define TOLD memory[me]
#endif

inline write_claim() {
  out.mark = TOLD.mark; out.mark_place = TOLD.mark_place; out.confirmed = TOLD.confirmed;
  out.seen = TOLD.seen; out.received = TOLD.received; out.acknowledged = TOLD.acknowledged;
#ifdef PLANT_ACK_BEFORE_COMMIT
  out.received = M.received;
#endif
  skip
}

inline send_challenge() {
  out.kind = CHALLENGE;
  out.nonce = ME.candidate;
  put()
}

inline send_hello() {
  out.kind = HELLO;
  out.echo = (ME.answer != 0 -> ME.answer : ME.peer_nonce);
  ME.answer = 0;
  out.proven = ME.local_nonce != 0 && out.echo == ME.peer_nonce;
  if
  :: !out.proven && ME.candidate == 0 -> draw()
  :: else
  fi;
  out.nonce = (out.proven -> ME.local_nonce : ME.candidate);
  write_claim();
  out.base = TOLD.base; out.origin = TOLD.origin; out.stream = TOLD.stream;
  out.erased = TOLD.erased; out.follows = TOLD.follows;
  put()
}

inline handle_hello(f) {
  if
  :: ME.local_nonce != 0 && f.proven && (f.nonce == ME.peer_nonce) != (f.echo == ME.local_nonce) ->
    restart_session()
  :: ME.local_nonce != 0 && f.nonce == ME.peer_nonce && (!f.proven || f.echo == ME.local_nonce) ->
    ME.ack_due = calm;
    if
    :: !f.proven -> ME.answer = ME.peer_nonce
    :: else
    fi
  :: else ->
    if
#ifndef PLANT_NO_ECHO
    :: ME.candidate == 0 || f.echo != ME.candidate
#endif
    :: else ->
      ME.local_nonce = (ME.candidate != 0 -> ME.candidate : f.echo);
      ME.peer_nonce = f.nonce;
      ME.candidate = 0;
      ME.due = !f.proven;
      handle_fresh_hello(f)
    fi
  fi
}
