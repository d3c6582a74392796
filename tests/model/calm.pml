/* After the calm began no fault happens, frames arrive (once, in any order), and timers expire only
   when nothing else is left to do. */

#define WORK(side) (a_life[side].answer || a_life[side].ack_due || \
  a_life[side].hello_due || CHANGED_OF(side) || \
  a_life[side].consumed < store[side].depth || a_life[side].phase == VERIFYING || \
  a_life[side].away)
#define IDLE (calm && EMPTY(0) && EMPTY(1) && !WORK(0) && !WORK(1))
#define WAITS (FLOWS(me) && current[me].outbox_first < stored[me].outbox_next)

/* A ping finds nobody who answers in this session. */
#define UNHEARD (FLOWS(me) && !(FLOWS(1 - me) && SAME_SESSION))

#define CALM_STEPS \
  :: d_step { !calm -> calm = 1; ME.ack_due = 0; HE.ack_due = 0; ME.hello_due = 0; HE.hello_due = 0; \
      tidy() } \
  :: d_step { calm && ME.ack_due && !MAY_ACK && !CHANGED_OF(me) -> ME.ack_due = 0 } \
  :: d_step { calm && ME.ack_due && MAY_ACK && ROOM(1 - me, 0) -> send_ack(0); tidy() } \
  :: d_step { calm && ME.hello_due && ROOM(1 - me, 0) -> send_hello(0) } \
  :: d_step { IDLE && ME.candidate != 0 -> send_hello(0) } \
  :: d_step { IDLE && WAITS && !UNHEARD && MAY_SEND(ME.sender_received + 1) -> \
      send_data(ME.sender_received + 1, 0); tidy() } \
  :: d_step { IDLE && WAITS && !UNHEARD && !MAY_SEND(ME.sender_received + 1) -> send_data(0, 0); tidy() } \
  :: d_step { IDLE && UNHEARD -> end_session(); start_handshake(); tidy() }
