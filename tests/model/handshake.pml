/* handshake.hpp. A nonce is the lowest number that nothing in the world knows any more: as good as
   a random one, and the number of states stays finite. */

inline fresh_nonce() {
  nonces_in_use(me);
  used = used | HE.retired;
  nonce_ = 1;
  do
  :: used & (1 << nonce_) -> nonce_++
  :: else -> break
  od;
  assert(nonce_ < 16)
}

inline set_watermarks() {
  ME.watermark_acknowledged = current[me].acknowledged;
#ifndef PLANT_NO_WATERMARKS
  ME.watermark_received = current[me].received;
  ME.watermark_delivered = current[me].outbox_first - 1
#else
  ME.watermark_acknowledged = 0
#endif
}

inline clear_watermarks() {
  ME.watermark_acknowledged = 0; ME.watermark_received = 0; ME.watermark_delivered = 0
}

inline challenge() {
  fresh_nonce();
  ME.candidate = nonce_;
  ME.answer = 0;
  ME.hello_due = calm;
  set_watermarks()
}

inline retire() {
#ifndef FORGETFUL
  ME.retired = (ME.retired | (1 << ME.peer_nonce)) & ~1
#else
  skip
#endif
}

inline handshake_end() {
  retire();
  ME.candidate = 0; ME.local_nonce = 0; ME.peer_nonce = 0; ME.echo = 0; ME.answer = 0;
  ME.hello_due = 0;
  clear_watermarks()
}

/* The watermarks are those of the moment when the candidate was created. */
inline handle_hello(f, victim) {
  if
  :: ME.peer_nonce != 0 && f.nonce == ME.peer_nonce ->
    if
    :: !f.proven -> ME.answer = 1
    :: else
    fi
  :: !(ME.peer_nonce != 0 && f.nonce == ME.peer_nonce) &&
     (ME.candidate == 0 || f.echo != ME.candidate) && (ME.retired & (1 << f.nonce)) -> skip
  :: else ->
    if
    :: ME.candidate == 0 -> challenge()
    :: else
    fi;
    if
#ifndef PLANT_NO_ECHO
    :: f.echo != ME.candidate -> ME.echo = f.nonce; ME.hello_due = calm
#endif
    :: else ->
      retire();
      ME.local_nonce = ME.candidate;
      ME.peer_nonce = f.nonce;
      ME.candidate = 0;
      ME.echo = 0;
      ME.hello_due = 0;
      ME.answer = !f.proven;
      handle_proven(f, victim);
      clear_watermarks()
    fi
  fi
}

/* write_hello of association.hpp: the cursors of the store, never those of memory. */
inline write_hello(my_nonce, my_echo, is_proven) {
  out.kind = HELLO;
  out.nonce = my_nonce; out.echo = my_echo; out.proven = is_proven;
  out.local_ = current[me].local_; out.peer = stored[me].peer;
  out.former_peer = stored[me].former_peer; out.former_received = stored[me].former_received;
  out.first = current[me].outbox_first; out.next = stored[me].outbox_next;
  out.first_epoch = current[me].erased_epoch;
  out.acknowledged = current[me].acknowledged;
#ifndef PLANT_ACK_BEFORE_COMMIT
  out.received = stored[me].received; out.received_epoch = stored[me].received_epoch;
#else
  out.received = current[me].received; out.received_epoch = current[me].received_epoch;
#endif
  out.delivered = (ME.session_was_open -> stored[me].delivered : ME.baseline_delivered);
  out.delivered_epoch = (ME.session_was_open -> stored[me].delivered_epoch : ME.baseline_delivered_epoch)
}

inline send_answer(victim) {
  write_hello(ME.local_nonce, ME.peer_nonce, 1);
  put(1 - me, victim);
  ME.answer = 0
}
