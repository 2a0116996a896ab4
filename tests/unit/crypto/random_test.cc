// Random bytes are fresh for every caller, thread and process, and their failure is never silent.
#include <gtest/gtest.h>
#include <openssl/rand.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace behalf::crypto {
namespace {

std::string draw(size_t size) {
  std::string bytes(size, '\0');
  SystemRandom().fill({reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()});
  return bytes;
}

TEST(SystemRandom, never_hands_out_the_same_bytes_twice) {
  std::mutex mutex;
  std::set<std::string> seen;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        std::string bytes = draw(16);
        const std::lock_guard lock(mutex);
        seen.insert(std::move(bytes));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 2000U);
}

TEST(SystemRandom, fills_every_size_to_the_end) {
  draw(0);
  for (const size_t size : {1U, 31U, 1000U, 1023U, 1024U, 1025U, 5000U, (1U << 20) + 3U}) {
    // A byte that is not written would be zero in all of sixteen draws.
    std::string together(size, '\0');
    for (int round = 0; round < 16; ++round) {
      const std::string bytes = draw(size);
      for (size_t i = 0; i < size; ++i) together[i] = static_cast<char>(together[i] | bytes[i]);
    }
    EXPECT_EQ(std::count(together.begin(), together.end(), '\0'), 0) << size;
  }
}

TEST(SystemRandom, a_forked_child_does_not_repeat_its_parent) {  // 331
  draw(32);  // leaves a stock behind, which the child must not use
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string bytes = draw(32);
    _exit(write(pipes[1], bytes.data(), bytes.size()) == 32 ? 0 : 1);
  }
  std::string theirs(32, '\0');
  ASSERT_EQ(read(pipes[0], theirs.data(), theirs.size()), 32);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_NE(draw(32), theirs);
  close(pipes[0]);
  close(pipes[1]);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(SystemRandom, throws_when_the_generator_fails) {  // 332
  static const RAND_METHOD broken = {
      nullptr, [](unsigned char*, int) { return 0; }, nullptr, nullptr, nullptr, nullptr};
  ASSERT_EQ(RAND_set_rand_method(&broken), 1);
  std::thread([] {  // a thread without a stock
    EXPECT_THROW(draw(32), std::runtime_error);
    EXPECT_THROW(draw(5000), std::runtime_error);
  })
      .join();
  ASSERT_EQ(RAND_set_rand_method(nullptr), 1);
  EXPECT_EQ(draw(32).size(), 32U);
}
#pragma GCC diagnostic pop

}  // namespace
}  // namespace behalf::crypto
