// Stores that earlier builds left behind: what they hold, and that a messenger goes on with them.

#include "golden/golden.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>

#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace golden;
using namespace test;

namespace {

const std::set<std::string> stores{"empty.db", "inbox.db", "outbox.db", "renewed.db"};

/// A golden store's copy, which may be opened.
std::filesystem::path copy_of(const std::string& name, const temporary_directory& d) {
  std::filesystem::copy_file(folder() / name, d / name);
  return d / name;
}

void describe(std::ostream& out, const ilm::cursors& c) {
  const ilm::lineage& h = c.history;
  out << "mark " << pair(h.mark) << "\nmark_delivered " << h.mark_delivered << "\nmark_hash "
      << pair(h.mark_hash) << "\nconfirmed " << pair(h.confirmed) << "\nconfirmed_delivered "
      << h.confirmed_delivered << "\nconfirmed_hash " << pair(h.confirmed_hash) << "\nbase "
      << h.base << "\norigin " << static_cast<int>(h.origin) << "\nparted " << pair(h.parted)
      << "\nformer " << pair(h.former) << "\nseen " << pair(h.seen) << '\n';
  out << "outbox.stream " << pair(c.outbox.stream) << "\noutbox.first " << c.outbox.first
      << "\noutbox.next " << c.outbox.next << "\noutbox.acknowledged " << c.outbox.acknowledged
      << "\noutbox.erased_hash " << pair(c.outbox.erased_hash) << "\noutbox.last_hash "
      << pair(c.outbox.last_hash) << '\n';
  out << "inbox.stream " << pair(c.inbox.stream) << "\ninbox.first " << c.inbox.first
      << "\ninbox.next " << c.inbox.next << "\ninbox.start " << c.inbox.start << "\ninbox.offset "
      << c.inbox.offset << "\ninbox.received_hash " << pair(c.inbox.received_hash)
      << "\ninbox.delivered_hash " << pair(c.inbox.delivered_hash) << '\n';
}

void describe(std::ostream& out, const char* queue, const ilm::stored_message& m) {
  out << queue << ' ' << m.index << ": sequence " << m.sequence << " salt " << m.salt << " hash "
      << pair(m.hash) << ": " << text(m.contents.view()) << ' ' << text(m.attributes.view())
      << '\n';
}

std::string meaning_of(const std::filesystem::path& file) {
  std::ostringstream out;
  out << "schema " << outsider(file, "SELECT version FROM ilm_store") << '\n';
  hand_driven<> store(file);
  hand_driven<>::state found = store.open();
  out << "incarnation " << found.local.high << '/' << found.local.low << '\n';
  out << "local id " << found.local_id.value_or("none") << '\n';
  for (const auto& [peer, c] : found.peers) {
    out << "peer " << peer << '\n';
    describe(out, c);
    for (const ilm::stored_message& m : store.read(ilm::queue::outbox, peer, c.outbox.first)) {
      describe(out, "outbox", m);
    }
    for (const ilm::stored_message& m : store.read(ilm::queue::inbox, peer, c.inbox.first)) {
      describe(out, "inbox", m);
    }
  }
  return out.str();
}

struct consumed_message {
  std::string text;
  std::string content_type;
  std::uint64_t sequence;
};

/// A messenger on a golden store.
class site {
 public:
  using fabric = ilm::memory_fabric<std::string>;
  using handler = std::function<void(ilm::message<std::string>)>;

  site(asio::io_context& c, fabric& f, const std::string& name, std::filesystem::path file)
      : messenger_(
            c, ilm::sqlite_backend<>(std::move(file)), f.join(name),
            handler([this](ilm::message<std::string> m) {
              auto type = m.attributes.header("content-type");
              consumed.push_back({std::string(m.text()), type ? text(*type) : "", m.sequence});
            })) {}

  std::vector<consumed_message> consumed;

 private:
  ilm::messenger<ilm::sqlite_backend<>, fabric::network_type, handler> messenger_;
};

}  // namespace

TEST_CASE("every golden store is opened, and holds what its file says") {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() == ".db") found.insert(entry.path().filename().string());
  }
  CHECK(found == stores);
  for (const std::string& name : stores) {
    temporary_directory d;
    std::string expected = contents_of(folder() / (name + ".txt"));
    INFO(name);
    CHECK(meaning_of(copy_of(name, d)) == expected.substr(expected.find("\n\n") + 2));
  }
}

TEST_CASE("messengers on golden stores go on where those before them stopped") {
  temporary_directory d;
  asio::io_context context;
  site::fabric fabric;
  site alice(context, fabric, "alice", copy_of("outbox.db", d));
  site bob(context, fabric, "bob", copy_of("inbox.db", d));
  while (bob.consumed.size() < 4) context.run_one();
  std::vector<std::string> texts, types;
  for (const consumed_message& m : bob.consumed) {
    CHECK(m.sequence == texts.size() + 3);
    texts.push_back(m.text);
    types.push_back(m.content_type);
  }
  CHECK(texts == std::vector<std::string>{"message 3", "message 4", "with a header", "the last"});
  CHECK(types == std::vector<std::string>{"", "", "text/plain", ""});
  CHECK(alice.consumed.empty());
}
