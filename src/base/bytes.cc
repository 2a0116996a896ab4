#include "base/bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/blocks.h"

#ifdef __x86_64__
#include <tmmintrin.h>
#endif

namespace behalf {
namespace {

constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kStandardAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> reverse(std::string_view alphabet) {
  std::array<int8_t, 256> table{};
  for (auto& entry : table) entry = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  }
  return table;
}

constexpr auto kFromUrl = reverse(kUrlAlphabet);
constexpr auto kFromStandard = reverse(kStandardAlphabet);

#ifdef __x86_64__

// Twelve bytes a step (W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions",
// 2018, in SSSE3's half the width): tokens spend more time here than anywhere else outside the cryptography.
// Returns how many bytes were encoded.
[[gnu::target("ssse3")]] size_t encode_blocks(std::string_view bytes, std::string_view alphabet, char* out) {
  const auto last_two = [&](size_t value) {
    return static_cast<char>(alphabet[value] - static_cast<int>(value));
  };
  // What to add to a value of six bits: A-Z are at 13, a-z at 0, digits at 1 to 10, the last two at 11
  // and 12.
  constexpr char kDigit = '0' - 52;
  const __m128i offsets = _mm_setr_epi8('a' - 26, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit, kDigit,
                                        kDigit, kDigit, kDigit, last_two(62), last_two(63), 'A', 0, 0);
  const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
  const char* in = bytes.data();
  // A step reads four bytes more than it uses.
  for (size_t left = bytes.size(); left >= 16; left -= 12, in += 12, out += 16) {
    const __m128i groups = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)), spread);
    const __m128i odd =
        _mm_mulhi_epu16(_mm_and_si128(groups, _mm_set1_epi32(0x0FC0FC00)), _mm_set1_epi32(0x04000040));
    const __m128i even =
        _mm_mullo_epi16(_mm_and_si128(groups, _mm_set1_epi32(0x003F03F0)), _mm_set1_epi32(0x01000010));
    const __m128i values = _mm_or_si128(odd, even);
    const __m128i is_upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), values);
    const __m128i kind =
        _mm_or_si128(_mm_subs_epu8(values, _mm_set1_epi8(51)), _mm_and_si128(is_upper, _mm_set1_epi8(13)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi8(_mm_shuffle_epi8(offsets, kind), values));
  }
  return static_cast<size_t>(in - bytes.data());
}

// Sixteen letters a step. Returns how many were decoded; `is_bad` if one of them is not of the alphabet.
[[gnu::target("ssse3")]] size_t decode_blocks(std::string_view text, std::string_view alphabet, char* out,
                                              bool& is_bad) {
  const auto letter_62 = static_cast<unsigned char>(alphabet[62]);
  const auto letter_63 = static_cast<unsigned char>(alphabet[63]);
  const __m128i gather = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
  const char* in = text.data();
  Block bad{};
  // A step writes four bytes more than it means; what is left has room for them.
  for (size_t left = text.size(); left >= 24; left -= 16, in += 16, out += 12) {
    const Block letters = load_block(in);
    const Block upper = letters - 'A';
    const Block lower = letters - 'a';
    const Block digit = letters - '0';
    const auto is_upper = mask(upper < 26);
    const auto is_lower = mask(lower < 26);
    const auto is_digit = mask(digit < 10);
    const auto is_62 = mask(letters == letter_62);
    const auto is_63 = mask(letters == letter_63);
    bad |= ~(is_upper | is_lower | is_digit | is_62 | is_63);
    const Block values = (is_upper & upper) | (is_lower & (lower + 26)) | (is_digit & (digit + 52)) |
                         (is_62 & 62) | (is_63 & 63);
    const __m128i pairs = _mm_maddubs_epi16(std::bit_cast<__m128i>(values), _mm_set1_epi32(0x01400140));
    const __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(groups, gather));
  }
  is_bad = any(bad);
  return static_cast<size_t>(in - text.data());
}

bool has_blocks() { return __builtin_cpu_supports("ssse3") != 0; }

#else

size_t encode_blocks(std::string_view, std::string_view, char*) { return 0; }
size_t decode_blocks(std::string_view, std::string_view, char*, bool&) { return 0; }
bool has_blocks() { return false; }

#endif

// Blocks first, where the processor has them, then whole groups of three bytes, then the rest.
std::string encode(std::string_view bytes, std::string_view alphabet) {
  std::string text((bytes.size() * 4 + 2) / 3, '\0');
  const size_t done = has_blocks() ? encode_blocks(bytes, alphabet, text.data()) : 0;
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data()) + done;
  const char* letters = alphabet.data();
  char* out = text.data() + done / 3 * 4;
  size_t left = bytes.size() - done;
  for (; left >= 3; left -= 3, in += 3) {
    const uint32_t group = (uint32_t{in[0]} << 16) | (uint32_t{in[1]} << 8) | in[2];
    *out++ = letters[group >> 18];
    *out++ = letters[(group >> 12) & 63];
    *out++ = letters[(group >> 6) & 63];
    *out++ = letters[group & 63];
  }
  if (left == 0) return text;
  const uint32_t group = (uint32_t{in[0]} << 16) | (left == 2 ? uint32_t{in[1]} << 8 : 0);
  *out++ = letters[group >> 18];
  *out++ = letters[(group >> 12) & 63];
  if (left == 2) *out++ = letters[(group >> 6) & 63];
  return text;
}

std::optional<std::string> decode(std::string_view text, std::string_view alphabet,
                                  const std::array<int8_t, 256>& table) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes(text.size() * 3 / 4, '\0');
  bool is_bad = false;
  const size_t done = has_blocks() ? decode_blocks(text, alphabet, bytes.data(), is_bad) : 0;
  if (is_bad) return std::nullopt;
  const auto* in = reinterpret_cast<const unsigned char*>(text.data()) + done;
  char* out = bytes.data() + done / 4 * 3;
  size_t left = text.size() - done;
  // A letter outside the alphabet is -1, so the sign survives in the union of all of them.
  int32_t seen = 0;
  for (; left >= 4; left -= 4, in += 4) {
    const int32_t a = table[in[0]], b = table[in[1]], c = table[in[2]], d = table[in[3]];
    seen |= a | b | c | d;
    const uint32_t group = (static_cast<uint32_t>(a) << 18) | (static_cast<uint32_t>(b) << 12) |
                           (static_cast<uint32_t>(c) << 6) | static_cast<uint32_t>(d);
    *out++ = static_cast<char>((group >> 16) & 255);
    *out++ = static_cast<char>((group >> 8) & 255);
    *out++ = static_cast<char>(group & 255);
  }
  uint32_t group = 0;
  for (size_t i = 0; i < left; ++i) {
    const int32_t value = table[in[i]];
    seen |= value;
    group = (group << 6) | (static_cast<uint32_t>(value) & 63);
  }
  if (seen < 0) return std::nullopt;
  if (left == 2) {
    if ((group & 15) != 0) return std::nullopt;
    *out++ = static_cast<char>((group >> 4) & 255);
  } else if (left == 3) {
    if ((group & 3) != 0) return std::nullopt;
    *out++ = static_cast<char>((group >> 10) & 255);
    *out++ = static_cast<char>((group >> 2) & 255);
  }
  return bytes;
}

}  // namespace

std::string base64url(std::string_view bytes) { return encode(bytes, kUrlAlphabet); }

std::optional<std::string> decode_base64url(std::string_view text) {
  return decode(text, kUrlAlphabet, kFromUrl);
}

std::string base64(std::string_view bytes) {
  std::string text = encode(bytes, kStandardAlphabet);
  while (text.size() % 4 != 0) text.push_back('=');
  return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  return decode(text, kStandardAlphabet, kFromStandard);
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(bytes.size() * 2, '\0');
  char* out = text.data();
  for (const char byte : bytes) {
    *out++ = kDigits[static_cast<unsigned char>(byte) >> 4];
    *out++ = kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

bool is_utf8(std::string_view bytes) {
  const auto beyond_ascii = [](Block block) { return block & 0x80; };
  if (bytes.size() >= kBlock && !any_in(bytes.data(), bytes.size(), beyond_ascii)) return true;
  size_t i = 0;
  while (i < bytes.size()) {
    // Eight bytes of ASCII at a time, which is nearly all there ever is.
    uint64_t eight = 0;
    while (bytes.size() - i >= sizeof eight) {
      std::memcpy(&eight, bytes.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080) != 0) break;
      i += sizeof eight;
    }
    if (i == bytes.size()) break;
    const auto lead = static_cast<unsigned char>(bytes[i++]);
    if (lead < 0x80) continue;
    int following = 0;
    uint32_t point = 0;
    uint32_t least = 0;
    if ((lead & 0xE0) == 0xC0) {
      following = 1;
      point = lead & 0x1F;
      least = 0x80;
    } else if ((lead & 0xF0) == 0xE0) {
      following = 2;
      point = lead & 0x0F;
      least = 0x800;
    } else if ((lead & 0xF8) == 0xF0) {
      following = 3;
      point = lead & 0x07;
      least = 0x10000;
    } else
      return false;
    for (; following > 0; --following) {
      if (i == bytes.size()) return false;
      const auto next = static_cast<unsigned char>(bytes[i++]);
      if ((next & 0xC0) != 0x80) return false;
      point = (point << 6) | (next & 0x3F);
    }
    if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
  }
  return true;
}

bool is_printable_ascii(std::string_view text) {
  if (text.size() >= kBlock) {
    return !any_in(text.data(), text.size(), [](Block block) { return mask(block - 0x20 > 0x7e - 0x20); });
  }
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  // No byte may have its high bit; then x + 1 sets it for 0x7f alone, and x - 0x20 for what is smaller (a
  // borrow only adds to a fault that is there).
  const auto has_other = [](uint64_t eight) {
    return ((eight | (eight + kOnes) | (eight - kOnes * 0x20)) & kHighs) != 0;
  };
  const char* at = text.data();
  size_t left = text.size();
  uint64_t eight = 0;
  for (; left >= sizeof eight; at += sizeof eight, left -= sizeof eight) {
    std::memcpy(&eight, at, sizeof eight);
    if (has_other(eight)) return false;
  }
  return std::all_of(at, at + left, [](char c) { return c >= 0x20 && c <= 0x7e; });
}

std::string one_line(std::string_view text) {
  const bool is_text = is_utf8(text);
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = !is_text || lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k)
      point = (point << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    const bool moves = point < 0x20 || (point >= 0x7F && point < 0xA0) || (length == 1 && lead >= 0x80);
    const bool hides = point == 0xAD || point == 0x61C || point == 0x180E || point == 0xFEFF ||
                       (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
                       (point >= 0x2060 && point <= 0x206F) || point >= 0xE0000;
    if (moves || hides)
      result.push_back('?');
    else
      result += text.substr(i, length);
    i += length;
  }
  return result;
}

}  // namespace behalf
