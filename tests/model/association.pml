/* association.hpp, durable_state.hpp, sender.hpp and receiver.hpp: sessions, messages, commits. */

inline end_session() {
  handshake_end();
  ME.acknowledged = 0;
  ME.ack_due = 0
}

inline restart_session() {
  end_session();
  start_handshake()
}

#define FITS(f) (UP_TO(f.received, SEQUENCE(M.received)) == M.received)

inline handle_data(f) {
  if
  :: f.received != 0 && SEQUENCE(f.received) == SEQUENCE(M.received) + 1 && FITS(f) ->
    assert(M.next_ < 7);
    inbox[me] = inbox[me] | (CODE(LIFE_AT(f.received, SEQUENCE(f.received)),
                                  SEQUENCE(f.received)) << (4 * M.next_));
    M.received = f.received;
    M.next_++
  :: else -> ME.ack_due = calm
  fi
}

#define OF_SESSION(f) (ME.peer_nonce != 0 && f.nonce == ME.peer_nonce && f.echo == ME.local_nonce)

inline handle_frame(f) {
  if
  :: f.kind == CHALLENGE && ME.phase != RENEWING -> ME.answer = f.nonce
  :: f.kind == HELLO && ME.phase != RENEWING -> handle_hello(f)
  :: f.kind == DATA && FLOWS(me) && OF_SESSION(f) -> ME.due = 0; handle_data(f)
  :: f.kind == ACK && FLOWS(me) && OF_SESSION(f) -> ME.due = 0; handle_ack(f)
  :: else
  fi
}

/* The next message of the inbox, which the store has, goes to the application. */
inline handle_consumed() {
  if
  :: M.first >= M.start -> M.delivered = UP_TO(M.received, SEQUENCE(M.delivered) + 1)
  :: else
  fi;
  M.first++
}

/* What leaves the process. */

inline send_data(sequence) {
  out.kind = DATA;
  out.nonce = ME.local_nonce; out.echo = ME.peer_nonce;
  out.received = (sequence == 0 -> 0 : UP_TO(S.tip, sequence));
  put()
}

inline send_ack() {
  out.kind = ACK;
  out.nonce = ME.local_nonce; out.echo = ME.peer_nonce;
  write_claim();
  ME.ack_due = 0;
  put()
}

/* The store: one change at a time, of all that memory is ahead, and a message sent. */

#ifndef PLANT_STAMP_UNCONFIRMED
#define STAMP_DUE(side) (memory[side].confirmed == memory[side].mark && (a_life[side].news || \
  SEQUENCE(memory[side].delivered) > SEQUENCE(memory[side].mark_place)))
#else
#define STAMP_DUE(side) (a_life[side].news || \
  SEQUENCE(memory[side].delivered) > SEQUENCE(memory[side].mark_place))
#endif
#define CHANGED(side) (STAMP_DUE(side) || !SAME_CURSORS(stored[side], memory[side]))

inline begin_commit(message) {
  copy_cursors(in_commit[me], M);
  if
  :: message ->
    in_commit[me].tip = NEXT(M.tip, ghost[me].life);
    ME.news = 1;
    ghost[me].sends++
  :: else
  fi;
  if
  :: STAMP_DUE(me) ->
    assert(COUNT(M.mark) < 15);
    in_commit[me].mark = STAMP(COUNT(M.mark) + 1, ghost[me].life);
    in_commit[me].mark_place = M.delivered
  :: else
  fi;
  ME.in_commit = 1
}

inline complete_commit() {
  moved = in_commit[me].received != S.received || in_commit[me].mark != S.mark ||
    in_commit[me].seen != S.seen || in_commit[me].follows != S.follows;
  ME.ack_due = ME.ack_due || (calm && moved && FLOWS(me));
  if
  :: in_commit[me].mark != S.mark -> ME.news = 0
  :: else
  fi;
  if
  :: in_commit[me].base == M.base && COUNT(in_commit[me].mark) > COUNT(M.mark) ->
    M.mark = in_commit[me].mark;
    if
    :: in_commit[me].follows == M.follows -> M.mark_place = in_commit[me].mark_place
    :: else
    fi
  :: else
  fi;
  record_commit();
  copy_cursors(S, in_commit[me]);
  clear_cursors(in_commit[me]);
  M.tip = S.tip;
  inbox[me] = inbox[me] & ~((1 << (4 * S.first)) - 1);
  ME.in_commit = 0;
  if
  :: ME.phase == RENEWING && S.base == M.base -> start_handshake()
  :: else
  fi
}

/* The end of a process and the start of the next one. What is in commit is forgotten; or it was
   completed just before. */

inline die() {
  inbox[me] = inbox[me] & ((1 << (4 * S.next_)) - 1);
  ghost[me].sends = ghost[me].sends - (ME.in_commit && in_commit[me].tip != S.tip);
  clear_cursors(in_commit[me]);
  ME.in_commit = 0; ME.peer_base = 0; ME.peer_first = 0;
  end_session();
  assert(ghost[me].life < MAX_LIFE);
  ghost[me].life++
}

inline begin_life() {
  copy_cursors(M, S);
#ifdef PLANT_DELIVERED_LOST
  M.delivered = UP_TO(M.delivered, 0);
#endif
  ME.news = 1;
  start_handshake()
}

/* begin_history */
inline new_store() {
  inbox[me] = 0;
  clear_cursors(S);
  S.mark = STAMP(1, ghost[me].life);
  S.base = 1;
  S.stream = S.mark;
  S.erased = ghost[me].life; S.tip = S.erased;
  S.first = 1; S.next_ = 1; S.start = 1
}

inline lose_store() {
  ghost[me].evident = stored[1 - me].seen != 0;
  ghost[me].vanished = (ghost[me].evident -> 0 : ghost[me].accepted);
  ghost[me].faults++;
  die();
  new_store();
  begin_life()
}

/* A store that is put back; with THAW, a machine, and all that its process has in memory. */
#if ROLLS != 9
#ifdef TWICE
#define MAY_COPY (copied == 0 && ghost[me].sends == 0 && QUIET)
#elif defined(THAW)
/* What the application has, the store knows: else the checker would count it twice. */
#define MAY_COPY (copied == 0 && M.first == S.first)
#else
#define MAY_COPY (copied == 0)
#endif
inline take_copy() {
  copy_cursors(copy, S);
#ifdef THAW
  copy_inbox = inbox[me];
  copy_cursors(copy_memory, M);
  copy_cursors(copy_in_commit, in_commit[me]);
  copy_process(copy_life, ME);
#else
  copy_inbox = inbox[me] & ((1 << (4 * S.next_)) - 1);
#endif
  ghost[me].vanished = ghost[me].accepted;
  copied = 1
}

#define OTHER stored[1 - me]
inline put_copy_back() {
#ifndef THAW
  die();
#else
  assert(ghost[me].life < MAX_LIFE);
  ghost[me].life++;
#endif
  ghost[me].vanished = ghost[me].accepted & ~ghost[me].vanished;
  ghost[me].faults++;
  copy_cursors(S, copy);
  inbox[me] = copy_inbox;
  clear_cursors(copy);
  copy_inbox = 0;
  copied = 2;
#ifndef THAW
  begin_life();
  ghost[me].evident = KNOWN_BY_STAMP(S) || KNOWN_BY_MESSAGE(S) || KNOWN_BY_CLAIM
#else
  copy_cursors(M, copy_memory);
  copy_cursors(in_commit[me], copy_in_commit);
  copy_process(ME, copy_life);
  clear_cursors(copy_memory);
  clear_cursors(copy_in_commit);
  clear_process(copy_life);
  /* What is in commit is stored again, with the same bits; what was received may come again. */
  if
  :: ME.in_commit ->
    ghost[me].evident = KNOWN_BY_STAMP(in_commit[me]) || KNOWN_BY_MESSAGE(in_commit[me])
  :: else -> ghost[me].evident = KNOWN_BY_STAMP(S) || KNOWN_BY_MESSAGE(S)
  fi
#endif
}
#endif
