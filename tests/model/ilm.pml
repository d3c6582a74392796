/* Two messengers, one pair of streams. See README.md of this folder. */

#ifndef SENDS_0
#define SENDS_0 2
#endif
#ifndef SENDS_1
#define SENDS_1 0
#endif
#define SENDS(side) ((side) == 0 -> SENDS_0 : SENDS_1)
#ifndef SESSION_EVENTS
#define SESSION_EVENTS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOSES
#define LOSES 9  /* the side whose store is lost; 9: none */
#endif
#if LOSES != 9 || defined(ROLLS)
#define STORE_FAULTS
#endif

#include "state.pml"
#include "checker.pml"
#include "network.pml"
#include "handshake.pml"
#include "reconcile.pml"
#include "association.pml"

#define MAY_SEND(sequence) (ME.phase == ESTABLISHED && stored[me].peer == current[me].peer && \
  ME.sender_received < sequence && sequence < stored[me].outbox_next)
#define MAY_ACK (FLOWS(me) && stored[me].peer == current[me].peer)
#define HERE(slot) (net[2 * me + slot].kind != NONE && !ME.away)
/* An answer may be sent in the same step, if the hello shows that this side was rolled back. */
#define MAY_PART(victim) (victim == 0 || (ROLLED(me) && copied == 2 && ROOM(1 - me, victim)))
#define CHANGED_OF(side) (a_life[side].consumed != 0 || a_life[side].unstored != 0 || \
  !SAME_CURSORS(stored[side], current[side]))

inline arrive(slot, victim) {
  handle_frame(net[2 * me + slot], victim);
  if
  :: calm -> clear_frame(net[2 * me + slot])
  :: else
  fi;
  tidy()
}

inline send_hello(victim) {
  write_hello(ME.candidate, ME.echo, 0);
  ME.hello_due = 0;
  put(1 - me, victim);
  tidy()
}

/* A hello of an earlier process or session arrives: all it can do is to begin a handshake. */
inline nudge() {
  if
  :: ME.phase == ABSENT -> start_handshake()
  :: ME.phase != ABSENT && ME.candidate == 0 -> challenge()
  :: else
  fi;
  ME.echo = 0;
  tidy()
}

#ifdef LIVE
#include "calm.pml"
#endif

proctype side(bit me) {
  do
  /* The network. */
  :: d_step { HERE(0) && MAY_PART(0) -> arrive(0, 0) }
  :: d_step { HERE(1) && MAY_PART(0) -> arrive(1, 0) }
#ifdef ROLLS
  :: d_step { HERE(0) && MAY_PART(1) -> arrive(0, 1) }
  :: d_step { HERE(1) && MAY_PART(1) -> arrive(1, 1) }
#endif

  /* What is sent. Until all is calm any timer may expire at any time, and any ping may come. */
  :: d_step { ME.answer && ROOM(1 - me, 0) -> send_answer(0); tidy() }
  :: d_step { ME.answer && ROOM(1 - me, 1) -> send_answer(1); tidy() }
  :: d_step { !calm && ME.candidate != 0 && ROOM(1 - me, 0) -> send_hello(0) }
  :: d_step { !calm && ME.candidate != 0 && ROOM(1 - me, 1) -> send_hello(1) }
  :: d_step { !calm && MAY_ACK && ROOM(1 - me, 0) -> send_ack(0); tidy() }
  :: d_step { !calm && MAY_ACK && ROOM(1 - me, 1) -> send_ack(1); tidy() }
  :: d_step { !calm && MAY_SEND(1) && ROOM(1 - me, 0) -> send_data(1, 0); tidy() }
  :: d_step { !calm && MAY_SEND(1) && ROOM(1 - me, 1) -> send_data(1, 1); tidy() }
  :: d_step { !calm && MAY_SEND(2) && ROOM(1 - me, 0) -> send_data(2, 0); tidy() }
  :: d_step { !calm && MAY_SEND(2) && ROOM(1 - me, 1) -> send_data(2, 1); tidy() }
#if SENDS_0 + SENDS_1 > 2
  :: d_step { !calm && MAY_SEND(3) && ROOM(1 - me, 0) -> send_data(3, 0); tidy() }
  :: d_step { !calm && MAY_SEND(3) && ROOM(1 - me, 1) -> send_data(3, 1); tidy() }
#endif

  /* The store and the application. */
  :: d_step { ME.phase == VERIFYING && MAY_PART(0) -> handle_page(0); tidy() }
#ifdef ROLLS
  :: d_step { ME.phase == VERIFYING && MAY_PART(1) -> handle_page(1); tidy() }
#endif
  :: d_step { CHANGED_OF(me) -> commit(0); tidy() }
  :: d_step { !calm && ghost[me].sends < SENDS(me) -> commit(1); tidy() }
  :: d_step { ME.consumed < store[me].depth -> handle_consumed(); tidy() }

  /* Faults. */
#if SESSION_EVENTS > 0
  :: d_step { !calm && session_events < SESSION_EVENTS ->
      session_events++; handle_session_up(); tidy() }
  :: d_step { !calm && session_events < SESSION_EVENTS && !ME.away ->
      session_events++; handle_session_down(); tidy() }
  :: d_step { !calm && session_events < SESSION_EVENTS && !ME.away && ME.peer_nonce != 0 ->
      session_events++; nudge() }
#ifndef LIVE
  /* A bye: the session ends, the network remains. */
  :: d_step { session_events < SESSION_EVENTS && ME.peer_nonce != 0 ->
      session_events++; end_session(); tidy() }
#endif
#endif
  /* The network has a session again, sooner or later. */
  :: d_step { ME.away -> handle_session_up(); tidy() }
#if CRASHES > 0
  :: d_step { !calm && crashes < CRASHES -> crashes++; die(); start(); tidy() }
#endif
#if LOSES != 9
  :: d_step { !calm && me == LOSES && !ghost[me].era_epoch -> lose_store(); tidy() }
#endif
#ifdef ROLLS
  :: d_step { !calm && ROLLED(me) && copied == 0 -> take_copy(); tidy() }
  :: d_step { !calm && ROLLED(me) && copied == 1 -> put_copy_back(); tidy() }
#endif

  /* When nothing is left to say, all must be accounted for. */
  :: d_step { QUIET && (SILENT(0) || SILENT(1)) -> assert(false) }
#ifdef LIVE
  CALM_STEPS
#endif
  od
}

init {
  byte me;
  atomic {
    d_step { new_store(); start(); me = 1; new_store(); start(); me = 0 };
    run side(0);
    run side(1)
  }
}

#ifdef LIVE
/* Once faults end, all that was accepted is delivered and confirmed, and both sides fall silent. */
ltl converges { [] (calm -> <> (QUIET)) }
#endif
