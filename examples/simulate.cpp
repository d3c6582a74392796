// Tries a handler of one's own against crashes, in simulated time: a thousand histories in a few
// seconds, and the same ones each time.
//
// The handler books amounts. A crash may come after the booking and before ILM's record of it
// (include/ilm/README.md, "Exactly once, and its window"), so the handler skips booked messages.
// With `--naive` it does not.

#include "support/program.hpp"

#include <ilm/ilm.hpp>
#include <ilm/testing/scheduler.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_network.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using id = std::string;
using clock_type = ilm::testing::simulated_clock;
using disk = ilm::testing::simulated_disk<id>;
using store = ilm::testing::simulated_store<id>;

// [handler]
/// What the handler keeps, in a database of its own that survives crashes.
struct account {
  std::int64_t balance = 0;
  std::uint64_t booked = 0;  ///< the index of the last message that is in `balance`
};

/// The code under test: not a line in it knows that this is a simulation.
class booking {
 public:
  booking(std::shared_ptr<account> a, bool naive) : account_(std::move(a)), naive_(naive) {}

  void operator()(const ilm::message<id>& m) {
    if (!naive_ && m.index <= account_->booked) return;
    account_->balance += m.as<std::int64_t>();
    account_->booked = m.index;
  }

 private:
  std::shared_ptr<account> account_;
  bool naive_;
};
// [handler]

using messenger = ilm::messenger<store, ilm::testing::simulated_network<id>, booking>;

/// Plays the history of a seed; true if in the end each amount is booked once.
bool play(std::uint64_t seed, bool naive) {
  clock_type::reset();
  std::mt19937_64 random(seed);
  ilm::testing::scheduler scheduler;
  ilm::testing::simulated_fabric<id> fabric(seed);
  ilm::testing::link_faults faults;
  faults.loss = 0.1;
  faults.delay.least = 2ms;
  fabric.set_faults(faults);

  disk disks[2];
  disks[1].behaviour().commit_time = 3ms;  // the wider the window, the sooner a crash falls into it
  auto accounts = std::make_shared<account>();
  std::unique_ptr<messenger> bank;
  ilm::options options;
  auto start_bank = [&] {
    options.seed = random();
    bank = std::make_unique<messenger>(scheduler, store(disks[1]), fabric.join("bank"),
                                       booking(accounts, naive), options);
  };
  options.seed = random();
  messenger shop(scheduler, store(disks[0]), fabric.join("shop"),
                 booking(std::make_shared<account>(), naive), options);
  start_bank();

  // [crashes]
  for (std::int64_t amount = 1; amount <= 20; ++amount) {
    shop.send_to("bank", amount, [](std::error_code, std::uint64_t) {});
    clock_type::run_for(scheduler, std::chrono::milliseconds(random() % 10));
    if (random() % 4 != 0) continue;
    // A crash between any two handlers; a commit under way lands or does not.
    for (std::uint64_t i = random() % 50; i > 0; --i) scheduler.poll_one();
    disks[1].crash(random() % 2 == 0);
    fabric.end("bank");
    bank.reset();
    start_bank();
  }
  // [crashes]
  clock_type::run_for(scheduler, 60s);
  bank.reset();
  return accounts->balance == 20 * 21 / 2;
}

}  // namespace

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    bool naive = given == std::vector<std::string>{"--naive"};
    if (!naive && !given.empty()) throw example::misuse("what is \"" + given[0] + "\"?");
    int wrong = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
      if (play(seed, naive)) continue;
      if (++wrong == 1) std::cout << "the first wrong balance: seed " << seed << '\n';
    }
    clock_type::reset();
    std::cout << "1000 histories, " << wrong << " with a wrong balance\n";
    return wrong == 0 || naive ? 0 : 1;
  };
  return example::run_program("simulate", "usage: simulate [--naive]\n", count, words, work);
}
