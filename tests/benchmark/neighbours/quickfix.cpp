// QuickFIX: an initiator and an acceptor in two processes, each with a file store. The receiver
// acknowledges each hundred messages by one of its own. The stores are not synced.
//
//   quickfix [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <set>
#include <sstream>
#include <stdexcept>

// The exception specifications of its headers went from the language with C++17.
#define throw(...)
#include <quickfix/Application.h>
#include <quickfix/FileStore.h>
#include <quickfix/Session.h>
#include <quickfix/SessionSettings.h>
#include <quickfix/SocketAcceptor.h>
#include <quickfix/SocketInitiator.h>
#undef throw

namespace {

using namespace benchmark;

constexpr std::uint64_t step = 100;  ///< messages to an acknowledgement

FIX::Message message_of(const std::string& type, const std::string& contents) {
  FIX::Message m;
  m.getHeader().setField(35, type);
  m.setField(58, contents);
  return m;
}

/// Counts the messages of the other side that `count` is about.
class application : public FIX::NullApplication {
 public:
  explicit application(std::function<void(const FIX::SessionID&)> received)
      : received_(std::move(received)) {}

  void onLogon(const FIX::SessionID& with) override {
    std::lock_guard lock(mutex_);
    session_ = with;
    logged_on_ = true;
    changed_.notify_all();
  }
  void fromApp(const FIX::Message&, const FIX::SessionID& from) override { received_(from); }

  FIX::SessionID wait_for_logon() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return logged_on_; });
    return session_;
  }

 private:
  std::function<void(const FIX::SessionID&)> received_;
  std::mutex mutex_;
  std::condition_variable changed_;
  FIX::SessionID session_;
  bool logged_on_ = false;
};

FIX::SessionSettings settings_of(bool sender, int port, const std::filesystem::path& store) {
  std::stringstream s;
  s << "[DEFAULT]\nBeginString=FIX.4.2\nStartTime=00:00:00\nEndTime=00:00:00\nHeartBtInt=60\n"
    << "UseDataDictionary=N\nSocketNodelay=Y\nFileStorePath=" << store.string() << "\n"
    << (sender ? "ConnectionType=initiator\nSocketConnectHost=127.0.0.1\nReconnectInterval=1\n"
                 "SocketConnectPort="
               : "ConnectionType=acceptor\nSocketAcceptPort=")
    << port << "\n[SESSION]\nSenderCompID=" << (sender ? "A" : "B")
    << "\nTargetCompID=" << (sender ? "B" : "A") << '\n';
  return FIX::SessionSettings(s);
}

template <class Report>
void receive(const settings& s, int port, const Report& report) {
  std::uint64_t consumed = 0;
  application app([&](const FIX::SessionID& from) {
    if (++consumed % step == 0) {
      FIX::Message ack = message_of("B", "!");
      FIX::Session::sendToTarget(ack, from);
    }
    if (consumed == s.messages) report(true);
  });
  FIX::SessionSettings own = settings_of(false, port, s.directory / "receiver");
  FIX::FileStoreFactory stores(own);
  FIX::SocketAcceptor acceptor(app, stores, own);
  acceptor.start();
  report(true);
  ::pause();
}

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 50'000);
  int port = free_port();
  child<bool> receiver([&](auto report) { receive(s, port, report); });
  receiver.ask();
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t confirmed = 0;
  application app([&](const FIX::SessionID&) {
    std::lock_guard lock(mutex);
    confirmed += step;
    changed.notify_all();
  });
  FIX::SessionSettings own = settings_of(true, port, s.directory / "sender");
  FIX::FileStoreFactory stores(own);
  FIX::SocketInitiator initiator(app, stores, own);
  initiator.start();
  FIX::SessionID to = app.wait_for_logon();
  FIX::Message m = message_of("B", std::string(message_size, 'x'));
  auto start = clock_type::now();
  for (std::uint64_t sent = 0; sent < s.messages; ++sent) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return sent < confirmed + in_flight; });
    }
    FIX::Session::sendToTarget(m, to);
  }
  receiver.ask();
  print_rate("QuickFIX, file store", static_cast<double>(s.messages), seconds_since(start),
             "a kill; of a power cut, what the system had written");
  std::fflush(stdout);
  std::filesystem::remove_all(s.directory.path());
  std::_Exit(0);  // a logout would wait for the other side
}
