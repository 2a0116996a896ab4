// Sixteen bytes at a time, in the vector type that GCC and Clang have for every machine.
//
// What reads text of any length for bytes of some kind collects what it found and looks once, at the end:
// there nearly always is nothing.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace behalf {

using Block [[gnu::vector_size(16)]] = unsigned char;
constexpr size_t kBlock = sizeof(Block);

inline Block load_block(const char* bytes) {
  Block block;
  std::memcpy(&block, bytes, sizeof block);
  return block;
}

// What a comparison of blocks says of each byte: all bits or none.
inline Block mask(auto comparison) { return std::bit_cast<Block>(comparison); }

// True if a comparison of blocks held for at least one byte.
inline bool any(Block found) {
  const auto halves = std::bit_cast<std::array<uint64_t, 2>>(found);
  return (halves[0] | halves[1]) != 0;
}

// find(block) for all of `bytes`, of which there must be at least kBlock: the last block overlaps the one
// before it.
template <class Find>
bool any_in(const char* bytes, size_t size, Find find) {
  Block found{};
  const char* const last = bytes + size - kBlock;
  for (; bytes < last; bytes += kBlock) found |= find(load_block(bytes));
  found |= find(load_block(last));
  return any(found);
}

}  // namespace behalf
