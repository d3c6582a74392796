#include "support/catch.hpp"

#include <ilm/detail/failure.hpp>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace ilm;
using detail::failure;
using detail::maximum_failure_text;

namespace {

template <class Exception>
failure failure_after(const Exception& e) {
  return detail::failure_of(std::make_exception_ptr(e));
}

const std::error_code disk_full = std::make_error_code(std::errc::no_space_on_device);

/// An exception of a user's own whose text may be anything.
class odd_exception : public std::exception {
 public:
  explicit odd_exception(const char* text) : text_(text) {}
  const char* what() const noexcept override { return text_; }

 private:
  const char* text_;
};

}  // namespace

TEST_CASE("an exception without a code keeps its text, and is no error of the system") {
  failure f = failure_after(std::runtime_error("order book is closed"));
  CHECK(f.code == error::exception_without_code);
  CHECK(f.code != std::errc::io_error);
  CHECK(f.text == "order book is closed");
}

TEST_CASE("a system_error keeps its code, and its text where that says more than the code") {
  failure f = failure_after(std::system_error(disk_full, "/var/orders"));
  CHECK(f.code == disk_full);
  CHECK(f.text == "/var/orders: " + disk_full.message());
  f = failure_after(std::system_error(disk_full));
  CHECK(f.code == disk_full);
  CHECK(f.text.empty());
}

TEST_CASE("a system_error whose code is 0 is a failure, and its text says that the code is 0") {
  failure f = failure_after(std::system_error(std::error_code(), "commit"));
  CHECK(f.code == error::exception_without_code);
  CHECK(f.text.starts_with("a std::system_error whose code is 0: commit"));
}

TEST_CASE("a lack of memory is one, and needs no memory for a text") {
  failure f = failure_after(std::bad_alloc());
  CHECK(f.code == std::errc::not_enough_memory);
  CHECK(f.text.empty());
  CHECK(failure_after(std::bad_array_new_length()).code == std::errc::not_enough_memory);
}

TEST_CASE("an int that was thrown is a failure, and its text says that it is no std::exception") {
  failure f = failure_after(42);
  CHECK(f.code == error::exception_without_code);
  CHECK(f.text == "an exception that is no std::exception");
}

TEST_CASE("an exception whose text is empty or null is a failure with a text") {
  CHECK(failure_after(std::runtime_error("")).text == "an exception without a text");
  CHECK(failure_after(odd_exception(nullptr)).text == "an exception without a text");
}

TEST_CASE("no exception is no failure") {
  failure f = detail::failure_of(nullptr);
  CHECK_FALSE(f.code);
  CHECK(f.text.empty());
}

TEST_CASE("the text of a huge exception is cut") {
  std::string huge(10'000'000, 'x');
  CHECK(failure_after(std::runtime_error(huge)).text == huge.substr(0, maximum_failure_text));
  std::string fits(maximum_failure_text, 'x');
  CHECK(failure_after(std::runtime_error(fits)).text == fits);
}

TEST_CASE("a text is cut between characters, never within one") {
  for (std::string character : {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    for (std::size_t before = 0; before <= character.size(); ++before) {
      std::string text(maximum_failure_text - before, 'x');
      std::string kept = before < character.size() ? text : text + character;
      CHECK(failure_after(std::runtime_error(text + character)).text == kept);
    }
  }
}

TEST_CASE("the text of an exception is printable") {
  CHECK(failure_after(odd_exception("Gr\xfc\n")).text == R"(Gr\xfc\n)");
}

TEST_CASE("a failure is made of an error without a word") {
  failure of_enum = error::store_corrupt;
  CHECK(of_enum.code == error::store_corrupt);
  failure of_code = disk_full;
  CHECK(of_code.code == disk_full);
  CHECK(of_code.text.empty());
}

TEST_CASE("an error code, a string or a text that is thrown by itself is kept") {
  CHECK(failure_after(disk_full).code == disk_full);
  CHECK(failure_after(std::error_code()).code == error::exception_without_code);
  CHECK(failure_after(std::string("closed")).text == "closed");
  failure f = failure_after(static_cast<const char*>("closed"));
  CHECK(f.code == error::exception_without_code);
  CHECK(f.text == "closed");
}
