/* Two messengers, one pair of streams. See README.md of this folder. */

#ifndef SENDS_0
#define SENDS_0 1
#endif
#ifndef SENDS_1
#define SENDS_1 0
#endif
/* TWICE: side 0 sends, its store is lost, or put back to when nothing had been sent and all was
   quiet, and it sends again. */
#ifdef TWICE
#define MORE ghost[0].faults
#define MAY_LOSE (ghost[me].faults == 0 && ghost[me].sends != 0)
#else
#define MORE 0
#define MAY_LOSE (ghost[me].faults == 0)
#endif
#define SENDS(side) ((side) == 0 -> SENDS_0 + MORE : SENDS_1)
#ifndef SESSION_EVENTS
#define SESSION_EVENTS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOSES
#define LOSES 9  /* the side whose store is lost; 9: none */
#endif
#ifndef ROLLS
#define ROLLS 9  /* the side whose store is put back; with THAW its process, too */
#endif
#define ROLLED(side) ((side) == ROLLS)
#if LOSES != 9 || ROLLS != 9
#define STORE_FAULTS
#endif

#include "state.pml"
#include "checker.pml"
#include "network.pml"
#include "handshake.pml"
#include "reconcile.pml"
#include "association.pml"

/* Nothing of a session goes before its hello. */
#define MAY_ACK (FLOWS(me) && PEER_STORED(me) && !(ME.due && !MAY_HELLO))
#define MAY_SEND(sequence) (MAY_ACK && ME.acknowledged < (sequence) && (sequence) <= SEQUENCE(S.tip))
#ifdef STORE_FAULTS
#define TOLD_BOTH(side) (ghost[side].told && ghost[side].told_peer)
#define AFTER_FAULT (TOLD_BOTH(0) || TOLD_BOTH(1))
#else
#define AFTER_FAULT true
#endif

inline arrive(f) {
  handle_frame(f);
  if
  :: calm -> clear_frame(f)
  :: else
  fi;
  tidy()
}

#ifdef LIVE
#include "calm.pml"
#endif

proctype side(bit me) {
  do
  /* The network. */
  :: d_step { HERE -> arrive(net[me]) }
#ifdef LATE
  :: d_step { LATE_HERE -> arrive(late) }
  :: d_step { !calm && lates < LATE && net[me].kind > CHALLENGE ->
      lates++; copy_frame(late, net[me]); late_to = me }
#endif

  /* What is sent. Until all is calm any timer may expire at any time, and any ping may come. */
  :: d_step { !calm && ME.phase == HANDSHAKING -> send_challenge(); tidy() }
  :: d_step { (ME.answer != 0 || (!calm && ME.due)) && MAY_HELLO && ROOM -> send_hello(); tidy() }
  :: d_step { !calm && MAY_ACK -> send_ack(); tidy() }
  :: d_step { !calm && MAY_SEND(1) -> send_data(1); tidy() }
  :: d_step { !calm && MAY_SEND(2) -> send_data(2); tidy() }

  /* The store and the application. */
  :: d_step { !ME.in_commit && CHANGED(me) -> begin_commit(0); tidy() }
  :: d_step { !calm && !ME.in_commit && ghost[me].sends < SENDS(me) -> begin_commit(1); tidy() }
  :: d_step { ME.in_commit -> complete_commit(); tidy() }
  :: d_step { M.first < S.next_ -> handle_consumed(); tidy() }

  /* Faults. */
#if SESSION_EVENTS > 0
  :: d_step { !calm && session_events < SESSION_EVENTS && ME.phase != RENEWING ->
      session_events++; restart_session(); tidy() }
#endif
#if CRASHES > 0
  :: d_step { !calm && crashes < CRASHES -> crashes++; die(); begin_life(); tidy() }
#endif
#if LOSES != 9
  :: d_step { !calm && me == LOSES && MAY_LOSE -> lose_store(); tidy() }
#endif
#if ROLLS != 9
  :: d_step { !calm && ROLLED(me) && MAY_COPY -> take_copy(); tidy() }
  :: d_step { !calm && ROLLED(me) && copied == 1 -> put_copy_back(); tidy() }
#endif

  /* When nothing is left to say, all must be accounted for. */
#ifdef PLANT_ANY_END
  /* A world can be reached in which something was delivered, and both were told of the fault. */
  :: d_step { QUIET && ghost[0].got != 0 && AFTER_FAULT -> assert(false) }
#endif
  :: d_step { QUIET && (SILENT(0) || SILENT(1)) -> assert(false) }
#ifdef LIVE
  CALM_STEPS
#endif
  od
}

init {
  byte me;
  atomic {
    d_step {
      ghost[0].life = 1; ghost[1].life = 1;
      new_store(); begin_life(); me = 1; new_store(); begin_life(); me = 0
    };
    run side(0);
    run side(1)
  }
}

#ifdef LIVE
/* Once faults end, all that was accepted is delivered and confirmed, and both sides fall silent. */
ltl converges { [] (calm -> <> settled) }
#endif
