// Encodings: one text for every byte sequence, and everything else refused (RFC 4648 §3.5, RFC 3629 §3).
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <cctype>
#include <random>

namespace behalf {
namespace {

using namespace std::string_view_literals;

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(Bytes, base64url_follows_the_vectors_of_RFC_4648_without_padding) {
  const std::pair<std::string_view, std::string_view> kVectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xFE"sv, "-__-"}};
  for (const auto& [bytes, text] : kVectors) {
    EXPECT_EQ(base64url(bytes), text);
    EXPECT_EQ(decode_base64url(text), std::string(bytes));
  }
}

TEST(Bytes, base64url_refuses_every_second_spelling) {
  const std::string_view kBad[] = {
      "Z",     "Zm9vY", "Zg==", "Zg=",  "Zh",    "Zm9",      "Zm8 ",
      " Zm8",  "Zm\n8", "+__-", "-//-", "Zm9v.", "Zm9v\0"sv, "\xC3\xA4\xC3\xA4"sv,
      "Zm9vYh"};
  for (const std::string_view text : kBad) EXPECT_FALSE(decode_base64url(text)) << text;
}

TEST(Bytes, each_two_letter_text_is_either_canonical_or_refused) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int accepted = 0;
  for (const char first : kLetters) {
    for (const char second : kLetters) {
      const std::string text{first, second};
      const auto bytes = decode_base64url(text);
      if (!bytes) continue;
      ++accepted;
      EXPECT_EQ(base64url(*bytes), text);
    }
  }
  EXPECT_EQ(accepted, 256);
}

TEST(Bytes, base64_wants_its_padding) {
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm9v"), "foo");
  EXPECT_EQ(decode_base64("+//+"), "\xFB\xFF\xFE"sv);
  for (const std::string_view text :
       {"Zm8", "Zg", "Zg=", "Zh==", "Z===", "====", "Zm8=Zm8=", "-__-", "Zm9v\n", "=Zm8"}) {
    EXPECT_FALSE(decode_base64(text)) << text;
  }
}

TEST(Bytes, all_byte_values_round_trip_at_each_length) {
  const std::string bytes = all_bytes();
  for (size_t length = 250; length <= bytes.size(); ++length) {
    const std::string part = bytes.substr(0, length);
    EXPECT_EQ(decode_base64url(base64url(part)), part);
    EXPECT_EQ(decode_base64(base64(part)), part);
  }
}

// One letter after another, from the definition (RFC 4648 §4), without blocks or tables.
std::string spelled_out(std::string_view bytes, std::string_view alphabet) {
  std::string text;
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 6) {
    size_t value = 0;
    for (size_t i = bit; i < bit + 6; ++i) {
      const size_t byte = i / 8 < bytes.size() ? static_cast<unsigned char>(bytes[i / 8]) : 0;
      value = value * 2 + (byte >> (7 - i % 8) & 1);
    }
    text.push_back(alphabet[value]);
  }
  return text;
}

TEST(Bytes, base64_is_what_it_is_by_definition_at_each_length) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::mt19937 random(1);  // the same each time
  for (size_t length = 0; length <= 100; ++length) {
    for (int round = 0; round < 30; ++round) {
      std::string bytes(length, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      const std::string url = spelled_out(bytes, letters + "-_");
      ASSERT_EQ(base64url(bytes), url);
      ASSERT_EQ(decode_base64url(url), bytes);
      ASSERT_EQ(base64(bytes).substr(0, url.size()), spelled_out(bytes, letters + "+/"));
      ASSERT_EQ(decode_base64(base64(bytes)), bytes);
    }
  }
}

TEST(Bytes, base64_knows_its_letters_wherever_they_stand) {
  for (size_t size = 4; size <= 64; size += 4) {
    for (size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'q');
        text[place] = static_cast<char>(byte);
        const bool is_common = std::isalnum(byte) != 0 && byte < 0x80;
        ASSERT_EQ(decode_base64url(text).has_value(), is_common || byte == '-' || byte == '_') << hex(text);
        if (byte == '=' && place + 1 == size) continue;  // padding, with unused bits that are set
        ASSERT_EQ(decode_base64(text).has_value(), is_common || byte == '+' || byte == '/') << hex(text);
      }
    }
  }
}

TEST(Bytes, hex_is_lower_case_and_two_digits_a_byte) {
  EXPECT_EQ(hex(""sv), "");
  EXPECT_EQ(hex("\x00\x0F\xAB\xFF"sv), "000fabff");
}

TEST(Bytes, utf8_is_well_formed_or_refused) {
  const std::string_view kGood[] = {""sv,
                                    "ascii\0too"sv,
                                    "\xC2\x80"sv,
                                    "\xDF\xBF"sv,
                                    "\xE0\xA0\x80"sv,
                                    "\xED\x9F\xBF"sv,
                                    "\xEE\x80\x80"sv,
                                    "\xF0\x90\x80\x80"sv,
                                    "\xF4\x8F\xBF\xBF"sv};
  for (const std::string_view text : kGood) EXPECT_TRUE(is_utf8(text)) << hex(text);
  const std::string_view kBad[] = {"\x80"sv,
                                   "\xBF"sv,
                                   "\xC0\x80"sv,
                                   "\xC1\xBF"sv,
                                   "\xC2"sv,
                                   "\xC2\x41"sv,
                                   "\xE0\x80\x80"sv,
                                   "\xE0\x9F\xBF"sv,
                                   "\xE2\x82"sv,
                                   "\xED\xA0\x80"sv,
                                   "\xED\xBF\xBF"sv,
                                   "\xF0\x80\x80\x80"sv,
                                   "\xF0\x8F\xBF\xBF"sv,
                                   "\xF4\x90\x80\x80"sv,
                                   "\xF5\x80\x80\x80"sv,
                                   "\xF8\x88\x80\x80\x80"sv,
                                   "\xFE"sv,
                                   "\xFF"sv,
                                   "ok\xE2\x82"sv};
  for (const std::string_view text : kBad) EXPECT_FALSE(is_utf8(text)) << hex(text);

  for (size_t before = 0; before <= 40; ++before) {
    for (const size_t after : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{33}}) {
      const auto within = [&](std::string_view text) {
        return std::string(before, 'a').append(text).append(after, 'b');
      };
      for (const std::string_view text : kGood) EXPECT_TRUE(is_utf8(within(text))) << before << hex(text);
      for (const std::string_view text : kBad) EXPECT_FALSE(is_utf8(within(text))) << before << hex(text);
    }
  }
}

TEST(PrintableAscii, is_asked_of_every_byte_wherever_it_stands) {
  EXPECT_TRUE(is_printable_ascii(""));
  for (size_t size = 1; size <= 40; ++size) {
    for (size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        for (const char other : {' ', '~', 'a'}) {
          std::string text(size, other);
          text[place] = static_cast<char>(byte);
          ASSERT_EQ(is_printable_ascii(text), byte >= 0x20 && byte <= 0x7e) << hex(text);
        }
      }
    }
  }
}

TEST(OneLine, nothing_in_a_text_moves_or_hides) {
  const std::pair<std::string, std::string> kTexts[] = {
      {"plain", "plain"},
      {"a\nb\tc", "a?b?c"},
      {"\x1b[2J", "?[2J"},
      {"\x7f", "?"},
      {"\xC2\x9B"
       "2J",
       "?2J"},
      {"a\xE2\x80\xAE"
       "b",
       "a?b"},
      {"\xE2\x80\x8B", "?"},
      {"\xEF\xBB\xBF", "?"},
      {"B\xC3\xBCro \xE6\x97\xA5", "B\xC3\xBCro \xE6\x97\xA5"},
      {"\xff\xfe", "??"},
      {"\xF3\xA0\x80\x81", "?"}};
  for (const auto& [text, shown] : kTexts) EXPECT_EQ(one_line(text), shown);
}

}  // namespace
}  // namespace behalf
