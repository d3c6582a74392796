// One association, driven by arbitrary inputs. The other side is a liar: it knows the nonces and
// the cursors of this one, so that what it makes up gets past the front door. Whatever it says,
// what this side stores, sends and delivers must stay true to what it was given.

#include "fuzz/input.hpp"
#include "support/core_pair.hpp"

#include <ilm/protocol/association.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;
using fuzz::require;

constexpr std::size_t largest_message = 300;
/// Names of streams that the liar makes up; each is a stamp of its as well.
constexpr std::array<stamp, 4> names{stamp{1, 70}, stamp{1, 71}, stamp{3, 72}, stamp{9, 73}};

/// Small bounds, so that a short input reaches them.
options draw_options(fuzz::input& in) {
  options o;
  std::uint8_t which = in.byte();
  o.maximum_message_size = largest_message;
  o.window_messages = 1 + which % 8;
  o.credit_messages = 1 + which / 8 % 8;
  o.window_bytes = o.credit_bytes = largest_message * (1 + which / 64);
  o.page_messages = 1 + which % 3;
  o.page_bytes = 100;
  o.frame_fill = 400;
  o.checksum = (which & 1) != 0;
  if ((which & 2) != 0) o.keepalive_interval = duration::zero();
  require(validation_error(o, minimum_frame_size).empty(), "the options are none");
  return o;
}

class run {
 public:
  explicit run(std::span<const std::byte> data)
      : in_(data), options_(draw_options(in_)), reliable_(in_.coin()) {
    store_.where = begin_history({1, 1}, bytes(std::string_view("liar")).view());
    start();
  }

  void play() {
    while (!in_.empty()) {
      step();
      drain();
    }
  }

 private:
  void start() {
    association_setup s;
    s.local_id = bytes(std::string_view("me"));
    s.peer_id = bytes(std::string_view("liar"));
    s.entropy = &entropy_;
    s.seed = ++lives_ * 31;
    s.frame_limit = minimum_frame_size;
    s.maximum_message = largest_message;
    s.reliable = reliable_;
    core_ = std::make_unique<association>(options_, std::move(s), store_.where);
    next_index_ = store_.where.inbox.first;
    told_received_ = store_.where.outbox.first - 1;
    told_credit_ = told_sum_ = 0;
  }

  // Inputs.

  void step() {
    switch (in_.below(24)) {
      case 0:
        return core_->handle_session_up(now_);
      case 1:
        return core_->handle_session_down();
      case 2:
      case 3:
        return send();
      case 4:
        return begin_commit();
      case 5:
        apply_commit();
        return finish_commit();
      case 6:
        return fail_commit();
      case 7:
        return apply_commit();
      case 8:
        return answer_pages();
      case 9:
        return take();
      case 10:
        return crash();
      case 11:
      case 12:
        return pass();
      case 13:
      case 14:
        return say_hello();
      case 15:
      case 16:
        return say_records();
      case 17:
        return hand_over(in_.take(in_.byte()));
      case 18:
        return repeat_or_corrupt();
      case 19:
        return in_.byte() < 32 ? say_challenge() : meet();
      case 20:
      case 21:
      case 22:
        return flow();
      default:
        if (in_.byte() != 255 || core_->state() == phase::closed) return;
        return core_->handle_close();
    }
  }

  void send() {
    std::size_t size = in_.byte();
    if (in_.coin()) size *= 2;
    std::string text = std::to_string(++sent_);
    text.resize(std::max(text.size(), size), '.');
    bytes attributes;
    if (in_.byte() < 64) attributes = bytes(std::string_view("\x81\x03\x01kv"));
    std::error_code refused =
        core_->handle_send(send_id{accepted_ + 1}, payload(bytes(text), attributes));
    require(!refused == (text.size() + attributes.size() <= largest_message),
            "a send is refused, or one too large not");
    if (refused) return;
    ++accepted_;
    pending_.push_back(text);
  }

  // Whole stretches in which nothing is wrong, so that a short input gets far.

  void meet() {
    core_->handle_session_up(now_);
    drain();
    const cursors& c = core_->stored();
    hello_record h;
    h.support.highest_version = 2;
    h.nonce = ++my_nonce_;
    h.echo = heard_nonce_;
    h.proven = true;
    if (!c.met()) mark_ = names[0];
    if (c.met() && mark_.count < c.history.seen.count) mark_ = c.history.seen;
    h.claim = honest_claim();
    h.base = std::min<std::uint64_t>(mark_.count, std::max<std::uint64_t>(c.history.seen.count, 1));
    h.stream = c.met() && c.inbox.stream.count <= mark_.count ? c.inbox.stream : names[0];
    h.first = c.inbox.received() + 1;
    h.erased_hash = c.inbox.received_hash;
    if (c.met()) h.follows = c.outbox.stream;
    h.credit.sequence = h.claim.received + in_.below(8);
    h.credit.bytes = std::uint64_t{1} << 20;
    h.maximum_message_size = largest_message;
    send_hello(h);
  }

  void flow() {
    for (std::size_t count = in_.below(8); count > 0; --count) send();
    begin_commit();
    apply_commit();
    finish_commit();
  }

  void crash() {
    change_.reset();
    applied_ = false;
    asked_.clear();
    offered_ = nullptr;
    pending_.clear();
    ended_ = accepted_;
    sends_in_commit_ = 0;
    heard_nonce_ = former_nonce_ = 0;
    nonces_.clear();
    start();
  }

  /// To the next deadline, or some way on.
  void pass() {
    std::uint8_t how = in_.byte();
    timestamp at = core_->deadline();
    if (how < 128 && at != never) {
      now_ = std::max(now_, at);
    } else {
      now_ += how < 192 ? duration(how) * 1'000'000 : duration(how) * 100'000'000;
    }
    core_->handle_timeout(now_);
  }

  void answer_pages() {
    // A request may be answered late, when the store has moved on, or not at all.
    std::uint8_t how = in_.byte();
    if ((how & 1) != 0) ask_for_pages();
    for (const page_request& asked : std::exchange(asked_, {})) {
      if ((how & 6) == 6) {
        core_->handle_page_failed(asked, std::make_error_code(std::errc::io_error), now_);
        continue;
      }
      const auto& messages = asked.source() == queue::outbox ? store_.outbox : store_.inbox;
      core_->handle_page(asked, test::model_store::read(messages, asked), now_);
    }
    if ((how & 8) != 0) ask_for_pages();
  }

  void ask_for_pages() {
    while (std::optional<page_request> r = core_->poll_page(now_)) {
      for (const page_request& other : asked_) {
        require(other.purpose != r->purpose, "two pages are asked for at once for one purpose");
      }
      asked_.push_back(*r);
    }
  }

  void take() {
    std::uint8_t how = in_.byte();
    for (std::size_t count = 1 + how % 4; count > 0; --count) {
      if (offered_ == nullptr) offered_ = core_->poll_delivery(now_);
      if (offered_ == nullptr) return;
      require(core_->poll_delivery(now_) == nullptr,
              "a second message is offered beside the first");
      check_delivery(*offered_);
      if (how >= 224) return;  // the application takes its time
      std::uint64_t index = std::exchange(offered_, nullptr)->index;
      if (how >= 192) {
        return core_->handle_delivery_failed(std::make_error_code(std::errc::io_error), now_);
      }
      next_index_ = index + 1;
      core_->handle_consumed(now_);
    }
  }

  // The store.

  void begin_commit() {
    if (change_) return;
    std::optional<store_change> c = core_->poll_change(now_);
    if (!c) return;
    check_change(*c);
    sends_in_commit_ = c->outbox.size();
    change_ = std::move(c);
  }
  void apply_commit() {
    if (!change_ || applied_) return;
    store_.commit(*change_);
    applied_ = true;
  }
  void finish_commit() {
    if (!change_ || !applied_) return;
    pending_.erase(pending_.begin(),
                   pending_.begin() + static_cast<std::ptrdiff_t>(sends_in_commit_));
    std::uint64_t first = change_->next.outbox.next - change_->outbox.size();
    change_.reset();
    applied_ = false;
    core_->handle_committed(now_);
    check_results(first, {});
  }
  void fail_commit() {
    if (!change_ || applied_) return;
    pending_.erase(pending_.begin(),
                   pending_.begin() + static_cast<std::ptrdiff_t>(sends_in_commit_));
    change_.reset();
    said_hello_ = said_hello_ || hello_in_commit_;
    std::error_code full = std::make_error_code(std::errc::no_space_on_device);
    core_->handle_commit_failed(full, now_);
    check_results(0, full);
  }

  // The liar.

  std::uint64_t lie(std::uint64_t truth) {
    std::uint8_t how = in_.byte();
    switch (how >> 5) {
      case 0:
        return truth;
      case 1:
        return truth + (how & 31);
      case 2:
        return truth - std::min<std::uint64_t>(truth, how & 31);
      case 3:
        return how & 31;
      case 4:
        return maximum_sequence - (how & 31);
      case 5:
        return in_.number<std::uint64_t>();
      case 6:
        return truth + in_.number<std::uint16_t>();
      default:
        return truth;
    }
  }

  stamp lie(const stamp& truth) {
    std::uint8_t how = in_.byte();
    if (how < 144) return truth;
    if (how < 160) return {};
    if (how < 192) return names[how % names.size()];
    std::uint64_t random = (how & 1) != 0 ? truth.random : how;
    return stamp{lie(truth.count), random};
  }
  stream_hash lie(const stream_hash& truth) {
    return in_.byte() < 224 ? truth : stream_hash{in_.byte(), 1};
  }

  /// The hash of this side's stream at a sequence, as far as its store tells.
  stream_hash hash_at(std::uint64_t sequence) const {
    const outbox_cursors& c = store_.where.outbox;
    if (sequence + 1 == c.first) return c.erased_hash;
    auto at = store_.outbox.find(sequence);
    return at != store_.outbox.end() ? at->second.hash : c.last_hash;
  }

  claim honest_claim() const {
    const cursors& c = core_->stored();
    claim told;
    told.mark = mark_;
    told.delivered = told.received = told_received_;
    told.delivered_hash = told.received_hash = hash_at(told_received_);
    if (c.history.seen.count <= mark_.count) told.confirmed = c.history.seen;
    told.seen = c.history.mark;
    told.acknowledged = c.inbox.received();
    return told;
  }
  claim any_claim() {
    const cursors& c = core_->stored();
    claim told = honest_claim();
    if (in_.byte() < 96) mark_ = lie(stamp{mark_.count + 1, in_.byte()});
    told.mark = mark_;
    told.received = lie(told_received_);
    told.received_hash = lie(hash_at(told.received));
    told.delivered = std::min(told.received, lie(c.outbox.first - 1));
    told.delivered_hash = lie(hash_at(told.delivered));
    told.confirmed = lie(told.confirmed);
    told.seen = lie(told.seen);
    told.acknowledged = lie(told.acknowledged);
    return told;
  }

  void say_hello() {
    hello_record h;
    const cursors& c = core_->stored();
    if (in_.coin() || my_nonce_ == 0) ++my_nonce_;
    h.nonce = my_nonce_;
    h.echo = in_.byte() < 240 ? heard_nonce_ : lie(heard_nonce_);
    h.proven = in_.coin();
    h.claim = any_claim();
    h.base = in_.coin() ? 1 : lie(c.history.seen.count + 1);
    h.origin = static_cast<lineage_origin>(in_.below(3));
    h.stream = lie(c.inbox.stream);
    h.first = lie(c.inbox.delivered() + 1);
    h.erased_hash =
        lie(h.first == c.inbox.received() + 1 ? c.inbox.received_hash : c.inbox.delivered_hash);
    h.follows = lie(c.outbox.stream);
    h.credit.received_bytes = lie(0);
    h.credit.sequence = lie(h.claim.received + 4);
    h.credit.bytes = lie(h.credit.received_bytes + 1000);
    h.maximum_message_size = lie(largest_message);
    send_hello(h);
  }

  void send_hello(hello_record& h) {
    bytes me(std::string_view("me")), liar(std::string_view("liar"));
    h.source = liar.view();
    h.destination = me.view();
    frame_writer writer(frame_, frame_header(), options_.checksum, std::size_t{1} << 16);
    writer.hello(h);
    writer.finish();
    hand_over(frame_);
  }

  void say_challenge() {
    frame_writer writer(frame_, frame_header(), options_.checksum, std::size_t{1} << 16);
    writer.challenge(1 + in_.byte());
    writer.finish();
    hand_over(frame_);
  }

  void say_records() {
    frame_header head;
    head.version = 1;
    head.session = session_tag_of(my_nonce_, session_nonce());
    head.number = ++numbers_;
    frame_writer writer(frame_, head, options_.checksum, std::size_t{1} << 16);
    std::uint8_t what = in_.byte();
    if ((what & 1) != 0) say_ack(writer);
    if ((what & 2) != 0) say_data(writer);
    if ((what & 4) != 0) say_data(writer);
    if ((what & 8) != 0) writer.ping();
    if (what == 0xf0) writer.bye();
    say_unknown();
    writer.finish();
    hand_over(frame_);
  }

  /// A record of the future: one that may be skipped, or one that may not.
  void say_unknown() {
    if (in_.byte() >= 48) return;
    wire_writer raw(frame_);
    raw.number(static_cast<std::uint8_t>(in_.byte() < 8 ? 0x33 : 0xb3));
    raw.varint(1);
    raw.number(in_.byte());
  }

  /// A proven side says its session's nonce no more; the liar remembers both that it saw.
  std::uint64_t session_nonce() { return in_.byte() < 224 ? heard_nonce_ : former_nonce_; }

  void say_ack(frame_writer& writer) {
    ack_record a;
    a.claim = in_.coin() ? honest_claim() : any_claim();
    // What arrived since.
    if (in_.coin()) a.claim.received = std::max(a.claim.received, lie(heard_sequence_));
    a.claim.received_hash = hash_at(a.claim.received);
    a.credit.received_bytes = lie(told_sum_);
    a.credit.sequence = lie(a.claim.received + 4);
    a.credit.bytes = lie(a.credit.received_bytes + 1000);
    std::uint64_t below = a.claim.received;
    for (std::size_t count = in_.below(4); count > 0; --count) {
      sequence_range r;
      r.first = below + 2 + in_.below(3);
      r.last = r.first + in_.below(3);
      below = r.last;
      a.ranges.push_back(r);
    }
    a.echo =
        a.credit.bytes % 7 == 3 ? heard_number_ + 1 : std::min(a.claim.received, heard_number_);
    writer.ack(a);
    told_sum_ = a.credit.received_bytes;
  }

  void say_data(frame_writer& writer) {
    const inbox_cursors& c = core_->stored().inbox;
    own_hashes_[c.received()] = c.received_hash;
    auto newest = own_hashes_.rbegin();
    std::uint64_t sequence = lie(in_.coin() ? newest->first + 1 : c.received() + 1);
    stream_hash before = lie(own_hashes_[sequence - 1]);
    writer.begin_data(sequence, before);
    for (std::size_t count = 1 + in_.below(6); count > 0; --count) {
      std::size_t size = in_.byte();
      if (in_.coin()) size *= 2;
      std::string contents(size, '-');
      std::string_view with;
      // Unknown and skippable, a header, one that may not be skipped, and bytes that are none.
      if (in_.byte() < 64) {
        with = std::array<std::string_view, 4>{"\x93\x01x", "\x81\x03\x01kv", "\x13\x01x",
                                               "\x93\x02x"}[in_.below(4)];
      }
      std::uint64_t salt = in_.below(3);
      data_item item(std::as_bytes(std::span(contents)), std::as_bytes(std::span(with)), salt);
      writer.item(item);
      before = extend(before, sequence, salt, item.contents, item.attributes);
      own_hashes_[sequence++] = before;
    }
  }

  void repeat_or_corrupt() {
    if (frame_.empty()) return;
    if (in_.coin()) frame_[in_.byte() % frame_.size()] ^= std::byte{in_.byte()};
    hand_over(std::vector<std::byte>(frame_));
  }

  void hand_over(std::span<const std::byte> bytes_sent) {
    bool flowed = core_->session_open();
    frame f;
    bool readable = !read_frame(bytes_sent, {}, f);
    if (readable) note(f);
    core_->handle_frame(bytes_sent, now_);
    if (flowed || !core_->session_open()) return;
    require(readable && f.hello && nonces_.contains(f.hello->echo),
            "a session opens without proof that the other side is there");
  }

  void note(const frame& f) {
    // A number that was spoiled on its way was said as well.
    numbers_ = std::max(numbers_, f.header.number);
    if (f.ack) {
      const ack_record& a = *f.ack;
      advertise(a.claim.received, a.ranges.empty() ? a.claim.received : a.ranges.back().last,
                a.credit.sequence);
    }
    if (!f.hello) return;
    said_hello_ = true;
    const claim& c = f.hello->claim;
    std::uint64_t credit = f.hello->credit.sequence;
    advertise(c.received, c.received, credit);
    // Whoever does not know this side yet counts from where it begins.
    if (credit > c.received) {
      grant(std::max(core_->delivered_by_peer(), c.received) + credit - c.received);
    }
  }

  /// The most that was advertised to the other side, if it believed all of it.
  void advertise(std::uint64_t received, std::uint64_t sacked, std::uint64_t credit) {
    if (sacked >= core_->stored().outbox.next) return;
    told_received_ = std::max(told_received_, received);
    grant(credit);
  }
  void grant(std::uint64_t sequence) { told_credit_ = std::max(told_credit_, sequence); }

  // Oracles.

  void check_results(std::uint64_t first, std::error_code reason) {
    for (; sends_in_commit_ > 0; --sends_in_commit_) {
      std::optional<send_result> r = core_->poll_send_result();
      require(r && r->id == send_id{++ended_}, "a send ends out of order, twice or never");
      require(r->error == reason && r->sequence == (reason ? 0 : first++), "a send ends wrongly");
    }
    require(!core_->poll_send_result(), "a send ends that was in no change");
  }

  void drain() {
    std::size_t frames = 0;
    std::vector<std::byte> frame;
    while (core_->poll_frame(frame, now_)) {
      require(++frames <= options_.window_messages + 16, "frames without end at one moment");
      check_frame(frame);
    }
    while (core_->poll_event()) {
      require(++frames < 1000, "events without end");
    }
    require(core_->in_flight() <= options_.window_messages, "more in flight than the window");
    require(core_->unsent_bytes() <= options_.window_bytes + largest_message + options_.page_bytes,
            "more in memory than the window");
    require(core_->inbox_depth() <= options_.credit_messages, "more in the inbox than the credit");
    // Nobody may be called for nothing: that would be a messenger that spins.
    core_->handle_timeout(now_);
    while (core_->poll_frame(frame, now_)) {
      require(++frames < 1000, "frames without end at one moment");
      check_frame(frame);
    }
    require(core_->deadline() > now_, "a deadline that has passed stays due");
  }

  void check_frame(const std::vector<std::byte>& bytes_sent) {
    require(bytes_sent.size() <= minimum_frame_size, "a frame exceeds the limit");
    frame f;
    require(!read_frame(bytes_sent, {}, f), "this side writes what it would refuse");
    if (f.challenge) hear_nonce(*f.challenge);
    if (f.hello) {
      check_claim(f.hello->claim);
      const cursors& c = core_->stored();
      require(f.hello->first <= c.outbox.first && f.hello->stream == c.outbox.stream &&
                  f.hello->base == c.history.base && f.hello->follows == c.inbox.stream,
              "a hello says what is not stored");
      hear_nonce(f.hello->nonce);
    }
    if (f.header.number != 0) heard_number_ = f.header.number;
    if (f.ack) {
      require(f.ack->echo <= numbers_, "an ack echoes a frame that was never said");
      check_claim(f.ack->claim);
    }
    for (const data_record& d : f.data) check_data(d);
  }

  void hear_nonce(std::uint64_t nonce) {
    nonces_.insert(nonce);
    if (nonce != heard_nonce_) former_nonce_ = std::exchange(heard_nonce_, nonce);
  }

  /// The other side is told what the store holds, and no more.
  void check_claim(const claim& told) {
    const cursors& c = core_->stored();
    require(c == store_.where || applied_, "this side does not know its store");
    require(told.received == c.inbox.received() && told.received_hash == c.inbox.received_hash,
            "a claim precedes the commit");
    require(told.mark == c.history.mark && told.delivered == c.history.mark_delivered,
            "a stamp is told before it is stored");
    require(told.delivered <= c.inbox.delivered(), "delivered is told before it is stored");
    require(told.seen == c.history.seen && told.confirmed == c.history.confirmed,
            "a stamp is told that is not stored");
    require(told.acknowledged == c.outbox.acknowledged, "an ack is told that is not stored");
  }

  void check_data(const data_record& d) {
    std::uint64_t sequence = d.first;
    require(d.before == hash_at(sequence - 1), "a record begins with another hash");
    for (const data_item& item : d.items) {
      auto stored = store_.outbox.find(sequence);
      require(stored != store_.outbox.end(), "what is not in the outbox is sent");
      require(stored->second.contents == bytes(item.contents) &&
                  stored->second.attributes == bytes(item.attributes) &&
                  stored->second.salt == item.salt,
              "a message was changed on its way out");
      require(sequence <= told_received_ + options_.window_messages, "the window is exceeded");
      require(sequence <= told_credit_, "the credit is exceeded");
      heard_sequence_ = std::max(heard_sequence_, sequence);
      ++sequence;
    }
  }

  void check_delivery(const stored_message& m) {
    auto due = store_.inbox.lower_bound(next_index_);
    require(due != store_.inbox.end() && due->first == m.index,
            "a message is delivered twice, out of order or before it is stored");
    require(due->second.contents == m.contents && due->second.attributes == m.attributes &&
                due->second.sequence == m.sequence,
            "a message was changed on its way in");
  }

  void check_change(const store_change& c) {
    const cursors& was = store_.where;
    const cursors& is = c.next;
    require(is.outbox.first >= was.outbox.first && is.outbox.next >= was.outbox.next &&
                is.inbox.first >= was.inbox.first && is.inbox.next >= was.inbox.next,
            "a cursor of a queue went back");
    require(is.outbox.first <= is.outbox.next && is.inbox.first <= is.inbox.next,
            "a queue ends before it begins");
    require(is.outbox.first <= was.outbox.next, "what is not stored yet is erased");
    require(is.consistent(), "the cursors contradict one another");
    require(is.inbox.first <= next_index_, "a message that was not consumed is erased");
    if (is.inbox.stream == was.inbox.stream) {
      require(is.inbox.received() >= was.inbox.received() &&
                  is.inbox.delivered() >= was.inbox.delivered(),
              "a cursor went back within a stream");
    }
    // Only a hello begins a history, at once or when its message was looked up.
    if (!said_hello_) {
      require(is.outbox.acknowledged >= was.outbox.acknowledged, "what was acknowledged went back");
      require(is.history.base == was.history.base && is.outbox.stream == was.outbox.stream &&
                  is.history.seen.count >= was.history.seen.count,
              "a history broke by itself");
    }
    bool looks_up = core_->state() == phase::verifying || core_->state() == phase::renewing_history;
    hello_in_commit_ = looks_up ? said_hello_ : std::exchange(said_hello_, false);
    if (is.history.mark != was.history.mark) {
      require(is.history.mark.count > was.history.mark.count, "two stamps have one count");
      require(is.history.base != was.history.base || is.history.confirmed == was.history.mark,
              "a stamp is made before the last one is confirmed");
    }
    check_outbox(c, was);
    check_inbox(c, was);
  }

  void check_outbox(const store_change& c, const cursors& was) {
    require(c.next.outbox.next - was.outbox.next == c.outbox.size(), "a number has no message");
    require(c.outbox.size() == pending_.size(), "a message was forgotten, or made up");
    for (std::size_t i = 0; i < c.outbox.size(); ++i) {
      const stored_message& m = c.outbox[i];
      require(m.sequence == was.outbox.next + i && m.index == m.sequence, "a number is left out");
      require(m.contents.text() == pending_[i], "messages are stored in another order");
    }
  }

  void check_inbox(const store_change& c, const cursors& was) {
    if (c.inbox.empty()) {
      require(c.next.inbox.next == was.inbox.next, "an index has no message");
      return;
    }
    require(c.inbox.front().index == was.inbox.next, "an index is left out");
    require(c.inbox.back().index + 1 == c.next.inbox.next, "an index has no message");
    for (std::size_t i = 0; i < c.inbox.size(); ++i) {
      const stored_message& m = c.inbox[i];
      require(m.index == c.inbox.front().index + i, "an index is left out");
      if (m.index < c.next.inbox.start) continue;
      require(m.sequence == m.index + c.next.inbox.offset, "a sequence is another than advertised");
      bool goes_on = was.met() && c.next.inbox.stream == was.inbox.stream;
      require(!goes_on || m.sequence > was.inbox.received(), "a message is stored twice");
    }
  }

  fuzz::input in_;
  options options_;
  bool reliable_;
  timestamp now_ = 1s;
  std::unique_ptr<association> core_;

  test::model_store store_;
  std::optional<store_change> change_;
  bool applied_ = false;
  std::vector<page_request> asked_;
  const stored_message* offered_ = nullptr;  ///< with the application
  std::vector<std::string> pending_;         ///< accepted, and not in a batch that ended
  std::size_t sends_in_commit_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t accepted_ = 0, ended_ = 0;  ///< how many sends
  std::uint64_t lives_ = 0;
  seeded_entropy entropy_{5};     ///< of all lives
  std::uint64_t next_index_ = 1;  ///< of the message to deliver next

  // The liar's knowledge and claims.
  std::uint64_t heard_nonce_ = 0;
  std::set<std::uint64_t> nonces_;    ///< of this process
  std::uint64_t heard_sequence_ = 0;  ///< the highest of a message that was sent
  std::map<std::uint64_t, stream_hash> own_hashes_;
  stamp mark_ = names[0];
  bool said_hello_ = false;       ///< since the last change
  bool hello_in_commit_ = false;  ///< before the change in commit
  std::uint64_t my_nonce_ = 0;
  std::uint64_t former_nonce_ = 0;
  std::uint64_t told_received_ = 0;
  std::uint64_t told_credit_ = 0;
  std::uint64_t told_sum_ = 0;
  std::uint64_t numbers_ = 0;       ///< of the liar's frames
  std::uint64_t heard_number_ = 0;  ///< of the last frame with data
  std::vector<std::byte> frame_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run(std::as_bytes(std::span(data, size))).play();
  return 0;
}
