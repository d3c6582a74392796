#include "histories.hpp"

#include <exception>
#include <stdexcept>

namespace crash_points {

namespace {

void start_both(stage& s) {
  s.start(side_a);
  s.start(side_b);
}

/// Two who know each other and have a session; points count from here on.
void begin_connected(stage& s) {
  s.acquaint();
  start_both(s);
  s.connected();
  s.begin();
}

void first_contact(stage& s) {
  s.begin();
  start_both(s);
  s.send(side_a);
  s.send(side_b);
  s.settle();
}

void steady_flow(stage& s) {
  begin_connected(s);
  s.send(side_a, 2);
  s.send(side_b);
  s.wait(1500us);
  s.send(side_b);
  s.send(side_a);
  s.settle();
}

void slow_stores(stage& s) {
  s.slow_store(side_a, 1500us);
  s.slow_store(side_b, 2200us);
  begin_connected(s);
  s.send(side_a);
  s.wait(1ms);
  s.send(side_a);
  s.send(side_b);
  s.settle();
}

void resume(stage& s) {
  begin_connected(s);
  s.send(side_a);
  s.send(side_b);
  s.wait(500us);
  s.cut();
  s.wait(1ms);
  s.send(side_a);
  s.join();
  s.settle();
}

/// What was under way when the session ended arrives in the next one, beside its hellos.
void resume_with_late_frames(stage& s) {
  s.let_frames_be_late();
  resume(s);
}

/// b loses its store while messages go both ways, one of them in its inbox.
void peer_reset(stage& s) {
  begin_connected(s);
  s.turn_down(side_b, true);
  s.send(side_a);
  s.send(side_b);
  s.wait(2500us);
  s.replace(side_b, disk());
  s.turn_down(side_b, false);
  s.send(side_b);
  s.send(side_a);
  s.settle();
}

/// b takes a message and loses its store before a hears of it: the message comes twice, as named.
void unconfirmed_reset(stage& s) {
  begin_connected(s);
  s.send_surely(side_a);
  s.until([&] { return s.taken(side_b) != 0; }, "the message to be taken");
  s.replace(side_b, disk());
  s.send(side_b);
  s.settle();
}

/// b gets a copy of its store from before the last message of each.
void rollback(stage& s) {
  begin_connected(s);
  disk copy = s.store(side_b);
  // Both are stored, or there would be nothing that the copy lacks, and nobody to tell of it.
  s.send_surely(side_a);
  s.send_surely(side_b);
  s.settle();
  s.replace(side_b, copy);
  s.send(side_b);
  s.send(side_a);
  s.settle();
}

/// b stands alone with a copy that holds a message in each box, which its history has long settled.
/// It takes the one in its inbox for the second time.
void put_back_full_boxes(stage& s) {
  s.acquaint();
  s.turn_down(side_b, true);
  start_both(s);
  s.connected();
  s.send(side_a);
  s.until([&] { return !s.store(side_b).inbox.empty(); }, "the message to arrive");
  s.cut();
  s.send(side_b);
  s.answered();
  disk copy = s.store(side_b);
  s.turn_down(side_b, false);
  s.join();
  s.settle();
  s.cut();
  s.wait(1ms);
  s.replace(side_b, copy);
}

void rollback_to_full_boxes(stage& s) {
  put_back_full_boxes(s);
  s.wait(10ms);
  s.join();
  s.connected();
  s.begin();
  s.send(side_a);
  s.send(side_b);
  s.settle();
}

void rollback_alone(stage& s) {
  put_back_full_boxes(s);
  s.begin();
  s.wait(10ms);
  s.join();
  s.send(side_a);
  s.settle();
}

void shutdown(stage& s) {
  begin_connected(s);
  s.send(side_a, 2);
  s.send(side_b);
  s.answered();
  s.shut_down(side_a, 1s);
  s.start(side_a);
  s.settle();
}

/// The peer takes nothing, so the deadline comes first.
void shutdown_in_vain(stage& s) {
  begin_connected(s);
  s.turn_down(side_b, true);
  s.send(side_a);
  s.answered();
  s.shut_down(side_a, 8ms);
  s.turn_down(side_b, false);
  s.start(side_a);
  s.send(side_b);
  s.settle();
}

void full_disk_of_sender(stage& s) {
  begin_connected(s);
  s.fill_up(side_a, true);
  s.send(side_a);
  s.send(side_b);
  s.wait(30ms);
  s.fill_up(side_a, false);
  s.send(side_a);
  s.settle();
}

void full_disk_of_receiver(stage& s) {
  begin_connected(s);
  s.fill_up(side_b, true);
  s.send(side_a, 2);
  s.wait(30ms);
  s.fill_up(side_b, false);
  s.settle();
}

/// b grants one message at a time, and takes none at first: credit falls to 0 and comes back.
void credit(stage& s) {
  s.options(side_b).credit_messages = 1;
  begin_connected(s);
  s.turn_down(side_b, true);
  s.send(side_a, 3);
  s.wait(8ms);
  s.turn_down(side_b, false);
  s.settle();
}

void redelivery(stage& s) {
  begin_connected(s);
  s.turn_down(side_b, true);
  s.send(side_a, 2);
  s.wait(15ms);
  s.turn_down(side_b, false);
  s.settle();
}

/// More waits in a's outbox than memory may hold, so it is read back in pages.
void outbox_in_pages(stage& s) {
  s.acquaint();
  s.options(side_a).window_messages = 2;
  s.options(side_a).page_messages = 1;
  s.start(side_a);
  s.send(side_a, 3);
  s.answered();
  s.begin();
  s.start(side_b);
  s.settle();
}

/// What b's application did not take in one life is read back in the next.
void inbox_in_pages(stage& s) {
  s.options(side_b).page_messages = 2;
  s.acquaint();
  start_both(s);
  s.turn_down(side_b, true);
  s.send(side_a, 3);
  s.until([&] { return s.store(side_b).inbox.size() == 3; }, "the messages to arrive");
  s.wait(5ms);
  s.begin();
  s.turn_down(side_b, false);
  s.restart(side_b);
  s.settle();
}

}  // namespace

const std::vector<history>& all_histories() {
  static const std::vector<history> all{
      {"first_contact", "two strangers meet and send", first_contact},
      {"steady_flow", "messages both ways in an open session", steady_flow},
      {"slow_stores", "the same with stores that take their time", slow_stores},
      {"resume", "the session is cut amid messages, and comes back", resume},
      {"late_frames", "the same, and what was under way arrives in the new session",
       resume_with_late_frames},
      {"peer_reset", "one side loses its store amid messages", peer_reset},
      {"reset_unconfirmed", "it is lost before the other side knows what it took",
       unconfirmed_reset},
      {"rollback", "one side gets an older copy of its store", rollback},
      {"rollback_full", "the copy holds messages, of which one is taken again before both meet",
       rollback_to_full_boxes},
      {"rollback_alone", "the same, and the side may crash before both meet", rollback_alone},
      {"shutdown", "one side shuts down and comes back", shutdown},
      {"shutdown_in_vain", "the same, and its deadline comes first", shutdown_in_vain},
      {"full_sender", "the sender's store takes nothing for a while", full_disk_of_sender},
      {"full_receiver", "the receiver's store takes nothing for a while", full_disk_of_receiver},
      {"credit", "credit goes to 0 and comes back", credit},
      {"redelivery", "the application turns messages down at first", redelivery},
      {"outbox_pages", "an outbox is read back in pages", outbox_in_pages},
      {"inbox_pages", "so is an inbox", inbox_in_pages},
  };
  return all;
}

const history& find_history(const std::string& name) {
  for (const history& h : all_histories()) {
    if (h.name == name) return h;
  }
  throw std::invalid_argument("there is no history \"" + name + "\"");
}

outcome tell(const history& h, const plan& p, sabotage defect, std::ostream* trace) {
  stage s(p, defect, trace);
  try {
    h.script(s);
    return s.finish();
  } catch (const std::exception& e) {
    outcome o = s.so_far();
    o.failures.push_back(e.what());
    return o;
  }
}

}  // namespace crash_points
