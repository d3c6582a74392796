// Contents of a type of one's own: types that nlohmann/json can convert travel as CBOR.

#include <ilm/codecs/json.hpp>
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

// [order]
struct order {
  std::string article;
  unsigned quantity = 0;
  std::vector<std::string> remarks;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(order, article, quantity, remarks)
// [order]

asio::awaitable<void> run(asio::io_context& context) {
  ilm::memory_fabric<std::string> fabric;
  ilm::inbox<std::string> shop_inbox, depot_inbox;
  ilm::memory_backend<std::string> shop_store, depot_store;
  ilm::messenger shop(context, shop_store, fabric.join("shop"), shop_inbox);
  ilm::messenger depot(context, depot_store, fabric.join("depot"), depot_inbox);

  // [send]
  // g++ 12 destroys an aggregate that is made inside a co_await expression twice: name it first.
  order wanted{"teapot", 2, {"blue", "with a lid"}};
  co_await shop.send_to("depot", wanted);
  // [send]
  co_await shop.send_to("depot", "two teapots, please");

  ilm::message<std::string> first = co_await depot_inbox.receive();
  // [send]
  auto got = first.as<order>();
  // [send]
  std::cout << got.quantity << " x " << got.article << ", " << got.remarks.at(0) << '\n';
  bool right = got.article == "teapot" && got.quantity == 2 && got.remarks == wanted.remarks;
  if (!right) throw std::runtime_error("the order is not what was sent");

  // Contents of another type are an error that names the problem. The application decides the fate
  // of the message: here it is consumed.
  ilm::message<std::string> second = co_await depot_inbox.receive();
  try {
    second.as<order>();
    throw std::runtime_error("a text passed for an order");
  } catch (const std::system_error& e) {
    if (e.code() != ilm::error::undecodable_contents) throw;
    std::cout << "\"" << second.text() << "\" is no order\n";
  }
  co_await depot_inbox.consume();
  co_await shop.shutdown(1s);
  co_await depot.shutdown(1s);
}

int main() try {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
} catch (const std::exception& e) {
  std::cerr << "json_contents: " << e.what() << '\n';
  return 1;
}
