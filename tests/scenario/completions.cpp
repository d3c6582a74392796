// Completions over an executor that finds no memory.
#include "support/catch.hpp"
#include "support/poor_executor.hpp"

#include <ilm/detail/completion.hpp>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace {

using completion = ilm::detail::completion<int>;

/// Fails a completion once, then completes it. Gives the results that its handler got.
template <class Make>
std::vector<int> results_of(Make make) {
  asio::io_context context;
  std::vector<int> results;
  auto handler =
      asio::bind_executor(test::poor_executor(context.get_executor(), std::make_shared<int>(1)),
                          [&results](int n) { results.push_back(n); });
  completion done = make(std::move(handler), context.get_executor());
  CHECK_THROWS_AS(done(1), std::bad_alloc);
  REQUIRE(done);
  done(2);
  CHECK_FALSE(done);
  context.run();
  return results;
}

}  // namespace

TEST_CASE("a completion that finds no memory keeps its handler for the next call") {
  auto finish = [](auto&& handler, int n) { handler(n); };
  CHECK(results_of([](auto h, auto e) { return completion(std::move(h), e); }) ==
        std::vector<int>{2});
  CHECK(results_of([&](auto h, auto e) {
          return completion::finished_by(std::move(h), e, finish);
        }) == std::vector<int>{2});
  std::vector<int> given_back;
  auto give_back = [&](int n) { given_back.push_back(n); };
  auto abort = [](auto&& handler) { handler(-1); };
  CHECK(results_of([&](auto h, auto e) {
          return completion::claimed(std::move(h), e, std::make_shared<ilm::detail::claim>(),
                                     finish, give_back, abort);
        }) == std::vector<int>{2});
  CHECK(given_back == std::vector<int>{1});
}
