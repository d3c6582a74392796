/* After the calm began no fault happens, frames arrive (once, in any order), and timers expire only
   when nothing else is left to do. */

#define WORK(side) (a_life[side].answer != 0 || a_life[side].ack_due || a_life[side].in_commit || \
  CHANGED(side) || memory[side].first < stored[side].next_)
#define IDLE (calm && EMPTY && !WORK(0) && !WORK(1))
/* Each side pings now and then; that of a side which knows all that an ack would tell changes nothing. */
#define HEARD (FLOWS(1 - me) && SAME_SESSION)
#define WAITS (FLOWS(me) && !ME.due && S.erased != S.tip)

/* Nobody answers in this session: the peer is in another, or its nonce of this one has lapsed. That
   takes longer than to hear again of a new one. */
#define UNHEARD (FLOWS(me) && !HEARD && \
  !(ME.due && HE.candidate == ME.peer_nonce) && !(HE.due && ME.candidate == HE.peer_nonce))

/* A hello sent again that the peer would drop changes nothing; nor does a ping or data in a session
   that it is not in. */
#define OF_USE (HE.candidate == ME.peer_nonce || HE.local_nonce == ME.peer_nonce || \
  HE.peer_nonce == ME.local_nonce)

#define CALM_STEPS \
  :: d_step { calm && QUIET && !settled -> settled = 1 } \
  :: d_step { !calm -> calm = 1; ME.ack_due = 0; HE.ack_due = 0; tidy() } \
  :: d_step { calm && ME.ack_due && !MAY_ACK && !CHANGED(me) && !ME.in_commit -> ME.ack_due = 0 } \
  :: d_step { calm && ME.ack_due && MAY_ACK && ROOM -> send_ack(); tidy() } \
  :: d_step { IDLE && ME.phase == HANDSHAKING -> send_challenge(); tidy() } \
  :: d_step { IDLE && ME.due && !UNHEARD && OF_USE && MAY_HELLO -> send_hello(); tidy() } \
  :: d_step { IDLE && WAITS && HEARD && MAY_SEND(ME.acknowledged + 1) -> \
      send_data(ME.acknowledged + 1); tidy() } \
  :: d_step { IDLE && WAITS && HEARD && !MAY_SEND(ME.acknowledged + 1) -> \
      send_data(0); ME.ack_due = 1; tidy() } \
  :: d_step { IDLE && FLOWS(me) && !ME.due && !WAITS && HEARD && !KNOWS(me, 1 - me) -> \
      send_data(0); tidy() } \
  :: d_step { IDLE && UNHEARD -> restart_session(); tidy() }
