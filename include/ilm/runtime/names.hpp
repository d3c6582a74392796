#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/packed_cursors.hpp>

#include <cassert>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

struct peer;

/// The largest form of a peer id, in bytes.
inline constexpr std::size_t maximum_id_size = 255;

/// A peer id without its type. The plain code carries a name instead of an id: neither encoding nor
/// a second look-up is due for a message.
class peer_name : public std::enable_shared_from_this<peer_name> {
 public:
  peer_name() = default;
  peer_name(const peer_name&) = delete;
  peer_name& operator=(const peer_name&) = delete;
  virtual ~peer_name() = default;

  /// The id in the form of its codec. Throws the codec's exception, or error::invalid_peer_id:
  /// none for a name of a table.
  virtual bytes encoded() const = 0;

  /// Whether this id comes before `other`, a name of the same type.
  virtual bool precedes(const peer_name& other) const = 0;

  /// The id for people to read. Throws the codec's exception.
  virtual std::string readable() const = 0;

  /// Whether the engine has anything of the peer.
  bool known() const noexcept { return state != nullptr || dormant; }

  /// The engine's state of the peer, while there is something to do for it.
  peer* state = nullptr;
  /// All that is kept of a peer for which there is nothing to do, besides its figures: its cursors
  /// in the store, and whether the network said that it has no session with it.
  packed_cursors dormant;
  bool dormant_down = false;
  bool in_store = false;  ///< whether the store has the peer
};

/// The table of names, without their type.
class name_keeper {
 public:
  /// The engine has no state of the peer any more: the name leaves the table, now or, if something
  /// else holds it, later. Nothing may refer to it that does not hold it.
  virtual void release(peer_name& name) = 0;

 protected:
  ~name_keeper() = default;
};

/// Sorts names as their ids are sorted.
struct name_order {
  bool operator()(const peer_name* a, const peer_name* b) const { return a->precedes(*b); }
};

/// The form of the id. Throws the codec's exception, or error::invalid_peer_id.
template <class PeerId>
bytes encode_valid(const PeerId& id) {
  bytes encoded = encode(id);
  if (encoded.empty() || encoded.size() > maximum_id_size) {
    throw std::system_error(error::invalid_peer_id);
  }
  return encoded;
}

template <class PeerId>
class typed_name final : public peer_name {
 public:
  explicit typed_name(PeerId peer) : id(std::move(peer)) {}

  bytes encoded() const override { return encode_valid(id); }
  bool precedes(const peer_name& other) const override {
    return id < static_cast<const typed_name&>(other).id;
  }
  std::string readable() const override { return printable_id(id); }

  const PeerId id;
};

/// The id of a name that comes from a table of this type.
template <class PeerId>
const PeerId& id_of(const peer_name& name) noexcept {
  return static_cast<const typed_name<PeerId>&>(name).id;
}

/// The names of one messenger. After construction it is used on the messenger's strand only.
template <class PeerId>
class name_table final : public name_keeper {
 public:
  /// Throws the codec's exception for the messenger's own id, or error::invalid_peer_id.
  explicit name_table(const PeerId& local) : local_(&add(local)) {}
  name_table(const name_table&) = delete;
  name_table& operator=(const name_table&) = delete;

  peer_name& local() const noexcept { return *local_; }
  const PeerId& local_id() const noexcept { return id_of<PeerId>(*local_); }

  /// Null if there is none.
  peer_name* find(const PeerId& id) const {
    auto at = names_.find(id);
    return at == names_.end() ? nullptr : at->get();
  }

  /// The name of `id`, made if need be. Throws the codec's exception, or error::invalid_peer_id.
  peer_name& add(const PeerId& id) {
    auto at = names_.lower_bound(id);
    if (at != names_.end() && !(id < (*at)->id)) return **at;
    validate(id);
    if (refused_.contains(id)) throw std::system_error(error::invalid_peer_id);
    auto made = std::make_shared<typed_name<PeerId>>(id);
    return **names_.insert(at, std::move(made));
  }
  /// The same, but null if `id` can have no name, and why.
  peer_name* add_if_valid(const PeerId& id, detail::failure& why) {
    try {
      return &add(id);
    } catch (...) {
      why = reason_against(id);
      if (!why) throw;
    }
    return nullptr;
  }

  /// A name that is held when it is released stays until a sweep, which comes once as many stayed
  /// as half of the table has.
  void release(peer_name& name) override {
    assert(!name.known() && find(id_of<PeerId>(name)) == &name);
    auto at = names_.find(id_of<PeerId>(name));
    if (is_unused(*at)) {
      names_.erase(at);
    } else if (++lingering_ > names_.size() / 2 + names_before_sweep) {
      lingering_ = 0;
      std::erase_if(names_, [this](const auto& held) { return is_unused(held); });
    }
  }
  std::size_t size() const noexcept { return names_.size(); }

  /// Why `id` can have no name; none if it can. Throws where that is no matter of its codec.
  detail::failure reason_against(const PeerId& id) const {
    if (refused_.contains(id)) return error::invalid_peer_id;
    try {
      validate(id);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (...) {
      return detail::failure_of(std::current_exception());
    }
    return {};
  }
  /// `id` gets no name from now on.
  void refuse(const PeerId& id) { refused_.insert(id); }

  /// Throws as `add` does. From any thread.
  static void validate(const PeerId& id) { static_cast<void>(encode_valid(id)); }

  /// Throws as `add` does, but adds nothing.
  void check(const PeerId& id) const {
    if (find(id) != nullptr) return;
    validate(id);
    if (refused_.contains(id)) throw std::system_error(error::invalid_peer_id);
  }

  /// A name for an event: the table does not grow by it.
  std::shared_ptr<peer_name> mention(const PeerId& id) const {
    if (peer_name* known = find(id)) return known->shared_from_this();
    return std::make_shared<typed_name<PeerId>>(id);
  }

 private:
  using name_type = std::shared_ptr<typed_name<PeerId>>;

  struct by_id {
    using is_transparent = void;

    bool operator()(const name_type& a, const name_type& b) const { return a->id < b->id; }
    bool operator()(const name_type& a, const PeerId& b) const { return a->id < b; }
    bool operator()(const PeerId& a, const name_type& b) const { return a < b->id; }
  };

  bool is_unused(const name_type& name) const noexcept {
    return name.get() != local_ && !name->known() && name.use_count() == 1;
  }

  std::set<name_type, by_id> names_;
  std::set<PeerId> refused_;
  peer_name* local_;
  std::size_t lingering_ = 0;  ///< names that were released since the last sweep, and stayed
};

ILM_INSTANCE(class name_table<std::string>);

}  // namespace ilm::inline v0::runtime
