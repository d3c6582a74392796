#include "checker.hpp"

#include <algorithm>

namespace torture {

namespace {

std::string number(std::uint64_t n) { return std::to_string(n); }

std::string letter(std::size_t peer) { return std::string(1, static_cast<char>('a' + peer)); }

}  // namespace

stream_counts& stream_counts::operator+=(const stream_counts& other) {
  intended += other.intended;
  accepted += other.accepted;
  refused += other.refused;
  delivered += other.delivered;
  doubtful_delivered += other.doubtful_delivered;
  lost += other.lost;
  repeated += other.repeated;
  disordered += other.disordered;
  damaged += other.damaged;
  reported_lost += other.reported_lost;
  reported_repeated += other.reported_repeated;
  return *this;
}

stream::stream(std::string name, complaint_sink complain)
    : name_(std::move(name)), complain_(std::move(complain)) {}

void stream::handle_sent(const sent_record& r) {
  if (r.kind == sent_record::type::intent) return handle_intent(r);
  if (r.id == 0 || r.id > sends_.size()) {
    return complain_(name_ + "the sender's journal has an outcome of " + number(r.id) +
                     ", which it never announced");
  }
  send& s = sends_[r.id - 1];
  if (s.state != outcome::unknown) {
    return complain_(name_ + "the send of " + number(r.id) + " completed twice");
  }
  bool done = r.kind == sent_record::type::done;
  s.state = done ? outcome::done : outcome::failed;
  ++(done ? counts_.accepted : counts_.refused);
  // A message may arrive before its outcome is known.
  if (done && s.arrived && s.sequence != r.value) {
    complain_(name_ + number(r.id) + " arrived with sequence " + number(s.sequence) +
              ", and send_to gave it " + number(r.value));
  }
  if (done) s.sequence = r.value;
}

void stream::handle_intent(const sent_record& r) {
  if (r.id != sends_.size() + 1) {
    complain_(name_ + "the sender's journal goes from " + number(sends_.size()) + " to " +
              number(r.id));
  }
  sends_.resize(std::max(sends_.size(), static_cast<std::size_t>(r.id + r.value - 1)));
  counts_.intended = sends_.size();
}

void stream::handle_received(const received_record& r) {
  if (r.id == 0 || r.id > sends_.size()) {
    ++counts_.damaged;
    return complain_(name_ + "consumed " + number(r.id) + ", which was never sent");
  }
  if (r.intact == 0) {
    ++counts_.damaged;
    complain_(name_ + "the contents of " + number(r.id) + " are damaged");
  }
  check_numbers(r);
  check_order(r);
  send& s = sends_[r.id - 1];
  if (s.state == outcome::done && !s.arrived && s.sequence != r.sequence) {
    complain_(name_ + number(r.id) + " arrived with sequence " + number(r.sequence) +
              ", and send_to gave it " + number(s.sequence));
  }
  if (s.arrived) {
    again_.emplace_back(r.id, r.sequence);
  } else {
    s.arrived = true;
    if (s.state != outcome::done) s.sequence = r.sequence;
    ++counts_.delivered;
  }
  last_ = r;
}

/// The store's own numbers have no gap. Sequences may jump where a store was put back.
void stream::check_numbers(const received_record& r) {
  bool follows = r.generation == last_.generation;
  if (follows && r.index != last_.index + 1) {
    complain_(name_ + "index " + number(r.index) + " follows " + number(last_.index));
  }
  if (rewinds_expected_ == 0 && r.sequence != last_.sequence + 1) {
    complain_(name_ + "sequence " + number(r.sequence) + " follows " + number(last_.sequence));
  }
}

/// Ids grow. `finish` checks the repetitions of an expected rewind.
void stream::check_order(const received_record& r) {
  if (r.id <= last_.id && ++rewinds_ > rewinds_expected_) {
    ++counts_.disordered;
    complain_(name_ + number(r.id) + " came after " + number(last_.id));
  }
  bool first_time = !sends_[r.id - 1].arrived;
  if (first_time && r.id < highest_) {
    ++counts_.disordered;
    complain_(name_ + number(r.id) + " came for the first time after " + number(highest_));
  }
  highest_ = std::max(highest_, r.id);
}

bool stream::reported(std::uint64_t id, std::uint64_t sequence) const {
  return id <= excused_to_ && std::any_of(reported_.begin(), reported_.end(),
                                          [&](reported_range r) { return r.contains(sequence); });
}

void stream::finish() {
  for (auto [id, sequence] : again_) {
    if (reported(id, sequence)) {
      ++counts_.reported_repeated;
      continue;
    }
    ++counts_.repeated;
    complain_(name_ + number(id) + " (sequence " + number(sequence) + ") came twice" +
              (reported_.empty() ? "" : ", and no event names it"));
  }
  for (std::size_t i = 0; i < sends_.size(); ++i) finish_send(i + 1, sends_[i]);
}

void stream::finish_send(std::uint64_t id, const send& s) {
  if (s.state == outcome::failed && s.arrived) {
    complain_(name_ + number(id) + " arrived, though its send_to failed");
  }
  if (s.state == outcome::unknown && s.arrived) ++counts_.doubtful_delivered;
  if (s.state != outcome::done || s.arrived) return;
  if (reported(id, s.sequence)) {
    ++counts_.reported_lost;
    return;
  }
  ++counts_.lost;
  complain_(name_ + number(id) + " (sequence " + number(s.sequence) +
            ") was accepted and did not arrive" +
            (reported_.empty() ? "" : ", and no event names it"));
}

checker::checker(const std::filesystem::path& directory, std::size_t peers, complaint_sink complain)
    : peers_(peers) {
  for (std::size_t i = 0; i < peers; ++i) {
    sent_.emplace_back(directory / (letter(i) + ".sent"));
    received_.emplace_back(directory / (letter(i) + ".received"));
    for (std::size_t k = 0; k < peers; ++k) {
      streams_.emplace_back(letter(i) + " to " + letter(k) + ": ", complain);
    }
  }
}

void checker::follow() {
  // An intent is written before its messages can arrive: this order of reading finds all intents.
  std::vector<std::vector<received_record>> arrived;
  for (auto& journal : received_) arrived.push_back(journal.read());
  for (std::size_t i = 0; i < peers_; ++i) {
    for (const sent_record& r : sent_[i].read()) of(i, r.to).handle_sent(r);
  }
  for (std::size_t i = 0; i < peers_; ++i) {
    for (const received_record& r : arrived[i]) of(r.from, i).handle_received(r);
  }
}

void checker::finish() {
  follow();
  for (stream& s : streams_) s.finish();
}

stream_counts checker::counts() const {
  stream_counts all;
  for (const stream& s : streams_) all += s.counts();
  return all;
}

void checker::mark() {
  follow();
  for (stream& s : streams_) s.mark();
}

bool checker::past_mark(std::uint64_t by) const {
  for (std::size_t i = 0; i < peers_; ++i) {
    for (std::size_t k = 0; k < peers_; ++k) {
      if (i != k && !of(i, k).past_mark(by)) return false;
    }
  }
  return true;
}

void checker::store_put_back(std::size_t peer) {
  follow();
  for (std::size_t i = 0; i < peers_; ++i) {
    of(i, peer).expect_rewinds();
    of(peer, i).expect_rewinds();
    of(peer, i).excuse_so_far();
  }
}

void checker::put_back_reported(std::size_t peer) {
  follow();
  for (std::size_t i = 0; i < peers_; ++i) of(i, peer).excuse_so_far();
}

void checker::note_event(std::size_t peer, std::size_t other, reported_range outbound,
                         reported_range inbound) {
  of(peer, other).note_reported(outbound);
  of(other, peer).note_reported(inbound);
}

}  // namespace torture
