#include "support/catch.hpp"

#include <ilm/runtime/names.hpp>

#include <memory>
#include <string>
#include <vector>

using ilm::runtime::name_table;
using ilm::runtime::peer_name;

TEST_CASE("a name that is released leaves the table") {
  name_table<std::string> names("a");
  names.release(names.add("b"));
  CHECK(names.find("b") == nullptr);
  CHECK(names.size() == 1);
}

TEST_CASE("a name that something holds stays the same name for as long") {
  name_table<std::string> names("a");
  std::shared_ptr<peer_name> held = names.add("b").shared_from_this();
  names.release(*held);
  CHECK(names.find("b") == held.get());
  CHECK(&names.add("b") == held.get());
}

TEST_CASE(
    "names that were held when they were released leave the table later, but for the own one") {
  name_table<std::string> names("a");
  for (int i = 0; i < 1000; ++i) {
    // An event holds the name, and is read before the next peer comes.
    std::shared_ptr<peer_name> held = names.add(std::to_string(i)).shared_from_this();
    names.release(*held);
  }
  CHECK(names.size() <= 64);
  CHECK(names.find("a") == &names.local());
}
