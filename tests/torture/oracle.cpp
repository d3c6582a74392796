#include "oracle.hpp"

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
  told_lost += other.told_lost;
  told_repeated += other.told_repeated;
  return *this;
}

stream::stream(std::string name, complaint_sink complain)
    : name_(std::move(name)), complain_(std::move(complain)) {}

void stream::handle_sent(const sent_record& r) {
  if (r.kind == sent_record::type::intent) return handle_intent(r);
  if (r.id == 0 || r.id > sends_.size()) {
    return complain_(name_ + "the sender's diary has an outcome of " + number(r.id) +
                     ", which it never announced");
  }
  send& s = sends_[r.id - 1];
  if (s.what != outcome::unknown) {
    return complain_(name_ + "the send of " + number(r.id) + " completed twice");
  }
  bool done = r.kind == sent_record::type::done;
  s.what = done ? outcome::done : outcome::failed;
  ++(done ? counts_.accepted : counts_.refused);
  // With what it arrived, if it did so before its outcome was known.
  if (done && s.arrived && s.sequence != r.value) {
    complain_(name_ + number(r.id) + " arrived with sequence " + number(s.sequence) +
              ", and send_to gave it " + number(r.value));
  }
  if (done) s.sequence = r.value;
}

void stream::handle_intent(const sent_record& r) {
  if (r.id != sends_.size() + 1) {
    complain_(name_ + "the sender's diary goes from " + number(sends_.size()) + " to " +
              number(r.id));
  }
  sends_.resize(std::max(sends_.size(), static_cast<std::size_t>(r.id + r.value - 1)));
  counts_.intended = sends_.size();
}

void stream::handle_received(const received_record& r) {
  if (r.id == 0 || r.id > sends_.size()) {
    ++counts_.damaged;
    return complain_(name_ + "took " + number(r.id) + ", which was never sent");
  }
  if (r.intact == 0) {
    ++counts_.damaged;
    complain_(name_ + "the contents of " + number(r.id) + " are damaged");
  }
  check_numbers(r);
  check_order(r);
  send& s = sends_[r.id - 1];
  if (s.what == outcome::done && !s.arrived && s.sequence != r.sequence) {
    complain_(name_ + number(r.id) + " arrived with sequence " + number(r.sequence) +
              ", and send_to gave it " + number(s.sequence));
  }
  if (s.arrived) {
    again_.emplace_back(r.id, r.sequence);
  } else {
    s.arrived = true;
    if (s.what != outcome::done) s.sequence = r.sequence;
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
  if (turns_expected_ == 0 && r.sequence != last_.sequence + 1) {
    complain_(name_ + "sequence " + number(r.sequence) + " follows " + number(last_.sequence));
  }
}

/// Ids grow. What turns back is judged by `finish`, as far as turns are to be expected.
void stream::check_order(const received_record& r) {
  if (r.id <= last_.id && ++turns_ > turns_expected_) {
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

bool stream::told(std::uint64_t id, std::uint64_t sequence) const {
  return id <= excused_to_ && std::any_of(told_.begin(), told_.end(),
                                          [&](told_range r) { return r.contains(sequence); });
}

void stream::finish() {
  for (auto [id, sequence] : again_) {
    if (told(id, sequence)) {
      ++counts_.told_repeated;
      continue;
    }
    ++counts_.repeated;
    complain_(name_ + number(id) + " (sequence " + number(sequence) + ") came twice" +
              (told_.empty() ? "" : ", and no event names it"));
  }
  for (std::size_t i = 0; i < sends_.size(); ++i) finish_send(i + 1, sends_[i]);
}

void stream::finish_send(std::uint64_t id, const send& s) {
  if (s.what == outcome::failed && s.arrived) {
    complain_(name_ + number(id) + " arrived, though its send_to failed");
  }
  if (s.what == outcome::unknown && s.arrived) ++counts_.doubtful_delivered;
  if (s.what != outcome::done || s.arrived) return;
  if (told(id, s.sequence)) {
    ++counts_.told_lost;
    return;
  }
  ++counts_.lost;
  complain_(name_ + number(id) + " (sequence " + number(s.sequence) +
            ") was accepted and did not arrive" + (told_.empty() ? "" : ", and no event names it"));
}

oracle::oracle(const std::filesystem::path& directory, std::size_t peers, complaint_sink complain)
    : peers_(peers) {
  for (std::size_t i = 0; i < peers; ++i) {
    sent_.emplace_back(directory / (letter(i) + ".sent"));
    received_.emplace_back(directory / (letter(i) + ".received"));
    for (std::size_t k = 0; k < peers; ++k) {
      streams_.emplace_back(letter(i) + " to " + letter(k) + ": ", complain);
    }
  }
}

void oracle::follow() {
  // What arrives was announced before: so this order of reading finds every announcement.
  std::vector<std::vector<received_record>> arrived;
  for (auto& diary : received_) arrived.push_back(diary.read());
  for (std::size_t i = 0; i < peers_; ++i) {
    for (const sent_record& r : sent_[i].read()) of(i, r.to).handle_sent(r);
  }
  for (std::size_t i = 0; i < peers_; ++i) {
    for (const received_record& r : arrived[i]) of(r.from, i).handle_received(r);
  }
}

void oracle::finish() {
  follow();
  for (stream& s : streams_) s.finish();
}

stream_counts oracle::counts() const {
  stream_counts all;
  for (const stream& s : streams_) all += s.counts();
  return all;
}

void oracle::mark() {
  follow();
  for (stream& s : streams_) s.mark();
}

bool oracle::past_mark(std::uint64_t by) const {
  for (std::size_t i = 0; i < peers_; ++i) {
    for (std::size_t k = 0; k < peers_; ++k) {
      if (i != k && !of(i, k).past_mark(by)) return false;
    }
  }
  return true;
}

void oracle::store_put_back(std::size_t peer) {
  follow();
  for (std::size_t i = 0; i < peers_; ++i) {
    of(i, peer).expect_turns();
    of(peer, i).expect_turns();
    of(peer, i).excuse_so_far();
  }
}

void oracle::put_back_reported(std::size_t peer) {
  follow();
  for (std::size_t i = 0; i < peers_; ++i) of(i, peer).excuse_so_far();
}

void oracle::note_event(std::size_t peer, std::size_t other, told_range outbound,
                        told_range inbound) {
  of(peer, other).note_told(outbound);
  of(other, peer).note_told(inbound);
}

}  // namespace torture
