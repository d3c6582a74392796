#include "driver_options.hpp"

#include <charconv>
#include <random>
#include <stdexcept>

namespace torture {

const std::string_view usage =
    R"(usage: ilm_torture [OPTION]...
Starts real processes that exchange messages by ILM over TCP, each with a store in SQLite, kills
them with SIGKILL, cuts their connections, and checks from outside, by what their applications wrote
down, that each message whose send_to completed was received exactly once, in order, without a gap.
Ends with a table, and with 0 if all is well, else with 1.

  --kills N      how often to kill a process (default 40)
  --rollbacks N  how often to put an older copy of a store back (default 0): then what is missing or
                 comes twice must be named by events of both sides
  --full-disks N how often the disk of a peer is full for a while (default 0)
  --minutes M    stop after that time, even if kills are left (default 0: no limit)
  --peers N      how many peers, 2 to 5, each of which sends to each (default 2; a chain 3)
  --chain K      the peers are a chain instead: its ends send to each other, and each between them
                 consumes the messages of one neighbour and sends one to the other for each, in one
                 commit. Then each message that an end accepted must have exactly one at the other
                 end, in order. K: handler or inbox, by which those between consume
  --level L      durability of the stores, os or media (default os)
  --seed S       draws what happens from S (default: a random one). What the processes then make
                 of it is a matter of timing: no two runs are alike
  --keep DIR     puts stores, journals and logs into DIR, which must be empty or new, and keeps
                 them; otherwise they are kept only if the run fails
  --patience S   after how many seconds without any progress something has failed (default 90)
  --peer FILE    the program of a peer (default: ilm_torture_peer beside this one)
  --sabotage K   breaks a promise, to see it found; then 0 means that it was. K: repeat (the
                 application does not skip what it has), forget (it loses one in 500), hasty (the
                 store says "durable" too early; level os), apart (a relay sends in a commit of
                 its own)
)";

namespace {

std::uint64_t to_number(const std::string& option, const std::string& word) {
  std::uint64_t value = 0;
  auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc() || end != word.data() + word.size()) {
    throw std::invalid_argument(option + " needs a number, not \"" + word + "\"");
  }
  return value;
}

std::string one_of(const std::string& option, const std::string& word,
                   const std::vector<std::string>& allowed) {
  for (const std::string& a : allowed) {
    if (word == a) return word;
  }
  throw std::invalid_argument(option + " does not know \"" + word + "\"; see --help");
}

void set(driver_options& o, const std::string& option, const std::string& value) {
  if (option == "--level") {
    o.level = one_of(option, value, {"os", "media"});
  } else if (option == "--sabotage") {
    o.sabotage = one_of(option, value, {"none", "repeat", "forget", "hasty", "apart"});
  } else if (option == "--chain") {
    o.chain = one_of(option, value, {"handler", "inbox"});
  } else if (option == "--keep") {
    o.keep = value;
  } else if (option == "--peer") {
    o.peer_program = value;
  } else if (option == "--kills") {
    o.kills = to_number(option, value);
  } else if (option == "--rollbacks") {
    o.rollbacks = to_number(option, value);
  } else if (option == "--full-disks") {
    o.full_disks = to_number(option, value);
  } else if (option == "--seed") {
    o.seed = to_number(option, value);
  } else if (option == "--minutes") {
    o.limit = std::chrono::minutes(to_number(option, value));
  } else if (option == "--patience") {
    o.patience = std::chrono::seconds(to_number(option, value));
  } else if (option == "--peers") {
    o.peers = to_number(option, value);
  } else {
    throw std::invalid_argument("what is \"" + option + "\"? See --help");
  }
}

/// Throws for options that contradict one another.
void check(const driver_options& o) {
  if (o.peers < 2 || o.peers > 5) throw std::invalid_argument("--peers: 2 to 5");
  if (o.chain.empty()) {
    if (o.sabotage == "apart") throw std::invalid_argument("--sabotage apart needs a --chain");
    return;
  }
  if (o.peers < 3) throw std::invalid_argument("a --chain has 3 peers or more");
  if (o.rollbacks > 0) throw std::invalid_argument("--rollbacks: not in a --chain");
  if (o.sabotage == "hasty") throw std::invalid_argument("--sabotage hasty: not in a --chain");
}

}  // namespace

driver_options driver_options::parse(const std::vector<std::string>& words) {
  driver_options o;
  o.seed = std::random_device()();
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (words[i] == "--help" || words[i] == "-h") {
      o.help = true;
      return o;
    }
    if (i + 1 == words.size()) throw std::invalid_argument(words[i] + " needs a value");
    set(o, words[i], words[i + 1]);
  }
  if (o.peers == 0) o.peers = o.chain.empty() ? 2 : 3;
  check(o);
  if (!o.keep.empty() && std::filesystem::exists(o.keep) && !std::filesystem::is_empty(o.keep)) {
    throw std::invalid_argument(o.keep.string() + " is not empty");
  }
  return o;
}

std::string driver_options::replay_command() const {
  std::string line = "ilm_torture --seed " + std::to_string(seed) + " --kills " +
                     std::to_string(kills) + " --level " + level + " --peers " +
                     std::to_string(peers);
  if (!chain.empty()) line += " --chain " + chain;
  if (full_disks > 0) line += " --full-disks " + std::to_string(full_disks);
  if (rollbacks > 0) line += " --rollbacks " + std::to_string(rollbacks);
  if (limit.count() > 0) line += " --minutes " + std::to_string(limit.count());
  if (sabotage != "none") line += " --sabotage " + sabotage;
  return line;
}

}  // namespace torture
