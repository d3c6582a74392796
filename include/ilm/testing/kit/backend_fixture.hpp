#pragma once

#include <ilm/backend.hpp>
#include <ilm/testing/kit/backend_clause.hpp>
#include <ilm/testing/kit/fixture.hpp>
#include <ilm/testing/kit/samples.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing::kit {

/// Shared by the checks of a backend: the user's factory, peer ids, and numbers of stores.
template <class PeerId, class Clock, class Factory>
class backend_fixture : public fixture<Clock>, public examiner<backend_clause> {
 public:
  using peer_id = PeerId;
  using factory_type = Factory;
  using backend_type = std::decay_t<std::invoke_result_t<Factory&, unsigned>>;
  static_assert(backend<backend_type, PeerId>, "the factory must give backends for this peer id");

  /// Whether the store is in the handle, so that there can be no second handle to it.
  static constexpr bool one_handle = [] {
    if constexpr (requires { Factory::one_handle; }) return bool(Factory::one_handle);
    return false;
  }();

  /// Whether the factory chooses the peer ids.
  static constexpr bool chosen_peers = requires(Factory & f) { f.peers(); };

  backend_fixture(asio::io_context& context, Factory& f, const kit_options& o,
                  clause_results<backend_clause>::report_handler to)
      : fixture<Clock>(context, o), examiner<backend_clause>(std::move(to)), factory_(f) {
    if constexpr (requires { f.peers(); }) {
      for (const PeerId& id : f.peers()) ids_.push_back(id);
    } else {
      static_assert(has_samples<PeerId>,
                    "the kit knows no ids of this type: give the factory peers(), which returns "
                    "five or more of them, all different");
      ids_ = sample_peers<PeerId>();
    }
  }

  Factory& factory() noexcept { return factory_; }
  const std::vector<PeerId>& ids() const noexcept { return ids_; }
  /// The incarnations that this run has created: a new store that has another was not new.
  void note_created(const incarnation& i) { created_.insert(i); }
  bool has_created(const incarnation& i) const { return created_.contains(i); }
  unsigned next_number() noexcept { return ++last_number_; }

  std::shared_ptr<backend_type> make(unsigned number) {
    return std::shared_ptr<backend_type>(new backend_type(factory_(number)));
  }

  /// Runs one operation to its end.
  template <class T, class Operation>
  std::shared_ptr<call<T>> run(const char* what, Operation operation) {
    auto c = this->template start<T>(std::move(operation));
    wait(what, c);
    return c;
  }

  template <class T>
  void wait(const char* what, const std::shared_ptr<call<T>>& c) {
    if (!this->until([&] { return c->done; })) {
      this->cancel(c);
      this->until([&] { return c->done; }, std::chrono::milliseconds(50));
      throw stuck{what};
    }
    if (c->foreign) {
      std::string done(what);
      done.append(" resumed its caller elsewhere than on the caller's strand");
      results().broken(backend_clause::executor, done);
    }
  }

 private:
  Factory& factory_;
  std::vector<PeerId> ids_;
  std::set<incarnation> created_;
  unsigned last_number_ = 0;
};

}  // namespace ilm::inline v0::testing::kit
