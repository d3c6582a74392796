#include "histories.hpp"

#include <exception>
#include <stdexcept>

namespace crash_points {

namespace {

void start_both(world& s) {
  s.start(side_a);
  s.start(side_b);
}

/// Two peers with an open session; points count from here on.
void begin_connected(world& s) {
  s.use_known_peers();
  start_both(s);
  s.connected();
  s.begin();
}

void first_contact(world& s) {
  s.begin();
  start_both(s);
  s.send(side_a);
  s.send(side_b);
  s.converge();
}

void steady_flow(world& s) {
  begin_connected(s);
  s.send(side_a, 2);
  s.send(side_b);
  s.wait(1500us);
  s.send(side_b);
  s.send(side_a);
  s.converge();
}

void slow_stores(world& s) {
  s.slow_store(side_a, 1500us);
  s.slow_store(side_b, 2200us);
  begin_connected(s);
  s.send(side_a);
  s.wait(1ms);
  s.send(side_a);
  s.send(side_b);
  s.converge();
}

void resume(world& s) {
  begin_connected(s);
  s.send(side_a);
  s.send(side_b);
  s.wait(500us);
  s.cut();
  s.wait(1ms);
  s.send(side_a);
  s.join();
  s.converge();
}

/// Frames under way when the session ended arrive in the next one, beside its hellos.
void resume_with_late_frames(world& s) {
  s.let_frames_be_late();
  resume(s);
}

/// b loses its store while messages go both ways, one of them in its inbox.
void peer_reset(world& s) {
  begin_connected(s);
  s.decline(side_b, true);
  s.send(side_a);
  s.send(side_b);
  s.wait(2500us);
  s.replace(side_b, disk());
  s.decline(side_b, false);
  s.send(side_b);
  s.send(side_a);
  s.converge();
}

/// b takes a message and loses its store before it confirms: the message comes twice, and an event
/// names it.
void unconfirmed_reset(world& s) {
  begin_connected(s);
  s.send_surely(side_a);
  s.until([&] { return s.consumed(side_b) != 0; }, "the message to be consumed");
  s.replace(side_b, disk());
  s.send(side_b);
  s.converge();
}

/// b gets a copy of its store from before the last message of each.
void rollback(world& s) {
  begin_connected(s);
  disk copy = s.store(side_b);
  // Both messages are stored after the copy: otherwise the copy would lack nothing.
  s.send_surely(side_a);
  s.send_surely(side_b);
  s.converge();
  s.replace(side_b, copy);
  s.send(side_b);
  s.send(side_a);
  s.converge();
}

/// b is alone with a copy that holds one message in each queue, both long delivered. It takes the
/// one in its inbox for the second time.
void put_back_full_queues(world& s) {
  s.use_known_peers();
  s.decline(side_b, true);
  start_both(s);
  s.connected();
  s.send(side_a);
  s.until([&] { return !s.store(side_b).inbox.empty(); }, "the message to arrive");
  s.cut();
  s.send(side_b);
  s.answered();
  disk copy = s.store(side_b);
  s.decline(side_b, false);
  s.join();
  s.converge();
  s.cut();
  s.wait(1ms);
  s.replace(side_b, copy);
}

void rollback_to_full_queues(world& s) {
  put_back_full_queues(s);
  s.wait(10ms);
  s.join();
  s.connected();
  s.begin();
  s.send(side_a);
  s.send(side_b);
  s.converge();
}

void rollback_alone(world& s) {
  put_back_full_queues(s);
  s.begin();
  s.wait(10ms);
  s.join();
  s.send(side_a);
  s.converge();
}

void shutdown(world& s) {
  begin_connected(s);
  s.send(side_a, 2);
  s.send(side_b);
  s.answered();
  s.shut_down(side_a, 1s);
  s.start(side_a);
  s.converge();
}

/// The peer takes nothing, so the deadline passes.
void shutdown_in_vain(world& s) {
  begin_connected(s);
  s.decline(side_b, true);
  s.send(side_a);
  s.answered();
  s.shut_down(side_a, 8ms);
  s.decline(side_b, false);
  s.start(side_a);
  s.send(side_b);
  s.converge();
}

void full_disk_of_sender(world& s) {
  begin_connected(s);
  s.fill_up(side_a, true);
  s.send(side_a);
  s.send(side_b);
  s.wait(30ms);
  s.fill_up(side_a, false);
  s.send(side_a);
  s.converge();
}

void full_disk_of_receiver(world& s) {
  begin_connected(s);
  s.fill_up(side_b, true);
  s.send(side_a, 2);
  s.wait(30ms);
  s.fill_up(side_b, false);
  s.converge();
}

/// b grants one message at a time, and takes none at first: credit falls to 0 and comes back.
void credit(world& s) {
  s.options(side_b).credit_messages = 1;
  begin_connected(s);
  s.decline(side_b, true);
  s.send(side_a, 3);
  s.wait(8ms);
  s.decline(side_b, false);
  s.converge();
}

void redelivery(world& s) {
  begin_connected(s);
  s.decline(side_b, true);
  s.send(side_a, 2);
  s.wait(15ms);
  s.decline(side_b, false);
  s.converge();
}

/// a's outbox is longer than the window in memory, so it is read back in pages.
void outbox_in_pages(world& s) {
  s.use_known_peers();
  s.options(side_a).window_messages = 2;
  s.options(side_a).page_messages = 1;
  s.start(side_a);
  s.send(side_a, 3);
  s.answered();
  s.begin();
  s.start(side_b);
  s.converge();
}

/// Messages that b's application did not take before a restart are read back after it.
void inbox_in_pages(world& s) {
  s.options(side_b).page_messages = 2;
  s.use_known_peers();
  start_both(s);
  s.decline(side_b, true);
  s.send(side_a, 3);
  s.until([&] { return s.store(side_b).inbox.size() == 3; }, "the messages to arrive");
  s.wait(5ms);
  s.begin();
  s.decline(side_b, false);
  s.restart(side_b);
  s.converge();
}

/// b answers each message, in one commit with its consumption.
void relay_by(world& s, role r, int count) {
  s.play(side_b, r);
  begin_connected(s);
  s.send(side_a, count);
  s.wait(1500us);
  s.send(side_a);
  s.converge();
}
void relay(world& s) { relay_by(s, role::relay, 2); }
void relaying_reader(world& s) { relay_by(s, role::reader, 1); }

/// The same, and each commit of b takes longer than the next message.
void relay_on_a_slow_store(world& s) {
  s.slow_store(side_b, 2200us);
  relay(s);
}

/// b turns messages down at first, and then its store takes nothing for a while.
void relay_in_trouble(world& s) {
  s.options(side_b).uncommitted_messages = 1;
  s.play(side_b, role::relay);
  begin_connected(s);
  s.decline(side_b, true);
  s.send(side_a, 2);
  s.wait(3ms);
  s.fill_up(side_b, true);
  s.decline(side_b, false);
  s.wait(30ms);
  s.fill_up(side_b, false);
  s.converge();
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
      {"rollback_full", "the copy holds messages, of which one is consumed again before both meet",
       rollback_to_full_queues},
      {"rollback_alone", "the same, and the side may crash before both meet", rollback_alone},
      {"shutdown", "one side shuts down and comes back", shutdown},
      {"shutdown_in_vain", "the same, and its deadline comes first", shutdown_in_vain},
      {"full_sender", "the sender's store takes nothing for a while", full_disk_of_sender},
      {"full_receiver", "the receiver's store takes nothing for a while", full_disk_of_receiver},
      {"credit", "credit goes to 0 and comes back", credit},
      {"redelivery", "the application turns messages down at first", redelivery},
      {"outbox_pages", "an outbox is read back in pages", outbox_in_pages},
      {"inbox_pages", "so is an inbox", inbox_in_pages},
      {"relay", "a handler answers each message, in one commit with its consumption", relay},
      {"relay_slow", "the same on a store that takes its time", relay_on_a_slow_store},
      {"relay_trouble", "the same, and first the handler fails and then its store",
       relay_in_trouble},
      {"relay_reader", "the reader of an inbox answers, and consumes when it is done",
       relaying_reader},
  };
  return all;
}

const history& find_history(const std::string& name) {
  for (const history& h : all_histories()) {
    if (h.name == name) return h;
  }
  throw std::invalid_argument("there is no history \"" + name + "\"");
}

outcome run_history(const history& h, const plan& p, sabotage defect, std::ostream* trace) {
  world s(p, defect, trace);
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
