// JSON is read strictly (RFC 8259, RFC 7493 I-JSON): whatever two readers might read differently is refused,
// and what is written reads back the same.
#include "base/json.h"

#include <gtest/gtest.h>

namespace behalf::json {
namespace {

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Json, refuses_what_two_readers_might_read_differently) {
  using namespace std::string_view_literals;
  const std::pair<const char*, std::string_view> kBad[] = {
      {"nothing", ""sv},
      {"only space", "  "sv},
      {"duplicate member", R"({"a":1,"a":2})"sv},
      {"duplicate after unescaping", R"({"a":1,"\u0061":2})"sv},
      {"duplicate deeper", R"({"x":[{"a":1,"b":2,"a":3}]})"sv},
      {"byte order mark", "\xEF\xBB\xBF{}"sv},
      {"second document", "{}{}"sv},
      {"trailing letter", "{} x"sv},
      {"trailing NUL", "{}\0"sv},
      {"trailing comma", R"({"a":1,})"sv},
      {"comment", "{/* */}"sv},
      {"single quotes", "{'a':1}"sv},
      {"NaN", "NaN"sv},
      {"Infinity", "[Infinity]"sv},
      {"leading zero", "[01]"sv},
      {"plus sign", "[+1]"sv},
      {"hexadecimal", "[0x10]"sv},
      {"half a number", "[1.]"sv},
      {"number over the range", "[1e400]"sv},
      {"negative over the range", "[-1e400]"sv},
      {"raw NUL in a string", "[\"a\0b\"]"sv},
      {"escaped NUL in a string", R"(["a\u0000b"])"sv},
      {"escaped NUL in a name", R"({"a\u0000":1})"sv},
      {"raw newline in a string", "[\"a\nb\"]"sv},
      {"overlong slash", "[\"\xC0\xAF\"]"sv},
      {"lone continuation byte", "[\"\x80\"]"sv},
      {"cut sequence", "[\"\xE2\x82\"]"sv},
      {"surrogate as UTF-8", "[\"\xED\xA0\x80\"]"sv},
      {"beyond U+10FFFF", "[\"\xF4\x90\x80\x80\"]"sv},
      {"lone high surrogate", R"(["\ud800"])"sv},
      {"lone low surrogate", R"(["\udc00"])"sv},
      {"surrogates the wrong way round", R"(["\udc00\ud800"])"sv},
      {"unknown escape", R"(["\x41"])"sv},
      {"open string", "[\"a"sv},
      {"open object", R"({"a":1)"sv},
      {"name without value", R"({"a"})"sv},
      {"number as name", "{1:2}"sv},
  };
  for (const auto& [what, text] : kBad) EXPECT_FALSE(parse(text)) << what;
}

TEST(Json, depth_16_is_read_and_17_refused) {
  EXPECT_TRUE(parse(nested(16)));
  EXPECT_FALSE(parse(nested(17)));
  std::string objects = "1";
  for (int i = 0; i < 16; ++i) objects = "{\"a\":" + objects + "}";
  EXPECT_TRUE(parse(objects));
  EXPECT_FALSE(parse("{\"a\":" + objects + "}"));
  EXPECT_TRUE(parse(nested(3), {.bytes = 100, .depth = 3}));
  EXPECT_FALSE(parse(nested(4), {.bytes = 100, .depth = 3}));
}

TEST(Json, size_is_limited_to_the_byte) {
  const std::string text = "[\"" + std::string(60, 'a') + "\"]";
  EXPECT_TRUE(parse(text, {.bytes = text.size(), .depth = 16}));
  EXPECT_FALSE(parse(text, {.bytes = text.size() - 1, .depth = 16}));
  EXPECT_FALSE(parse("\"" + std::string(64 * 1024, 'a') + "\""));
}

TEST(Json, whole_numbers_stay_whole_and_big_ones_are_never_cut_to_an_integer) {
  const auto value =
      parse("[9223372036854775807,-9223372036854775808,18446744073709551615,9223372036854775808,1.0,1e2]");
  ASSERT_TRUE(value);
  const auto& items = *value->array();
  ASSERT_NE(items[0].integer(), nullptr);
  EXPECT_EQ(*items[0].integer(), INT64_MAX);
  ASSERT_NE(items[1].integer(), nullptr);
  EXPECT_EQ(*items[1].integer(), INT64_MIN);
  for (size_t i = 2; i < items.size(); ++i) {
    EXPECT_EQ(items[i].integer(), nullptr) << i;
    EXPECT_NE(items[i].number(), nullptr) << i;
  }
  EXPECT_DOUBLE_EQ(*items[2].number(), 18446744073709551615.0);
}

TEST(Json, a_fraction_is_read_to_the_nearest_and_written_so_that_it_reads_back_the_same) {
  // The first is what fuzzing found: too many digits for a parser that rounds as it goes.
  for (const char* text :
       {"[1111221111122111121221112211121221221112211122]", "[1.00000000000000011102230246251565]",
        "[9007199254740993.0]", "[2.2250738585072011e-308]", "[4.9e-324]", "[1e-400]",
        "[1.7976931348623157e308]", "[0.1]", "[-0.0]", "[123456789012345678901234567890e-5]"}) {
    const auto once = parse(text);
    ASSERT_TRUE(once) << text;
    EXPECT_EQ(*(*once->array())[0].number(), std::strtod(text + 1, nullptr)) << text;
    const auto twice = parse(write(*once));
    ASSERT_TRUE(twice) << write(*once);
    EXPECT_EQ(*(*twice->array())[0].number(), *(*once->array())[0].number()) << text;
    EXPECT_EQ(write(*twice), write(*once)) << text;
  }
  EXPECT_EQ(write(*parse("[0.1,1e2,5,-2.5e-7]")), "[0.1,100.0,5,-2.5e-07]");
}

TEST(Json, find_takes_a_member_only_in_the_type_that_was_asked_for) {
  const auto value = parse(R"({"text":"5","number":5,"nothing":null})");
  ASSERT_TRUE(value);
  EXPECT_EQ(*value->find_string("text"), "5");
  EXPECT_EQ(value->find_string("number"), nullptr);
  EXPECT_EQ(value->find_integer("number"), 5);
  EXPECT_FALSE(value->find_integer("text"));
  EXPECT_FALSE(value->find_integer("absent"));
  ASSERT_NE(value->find("nothing"), nullptr);
  EXPECT_TRUE(value->find("nothing")->is_null());
  EXPECT_EQ(Value("text").find("text"), nullptr);
}

TEST(Json, set_replaces_in_place_and_remove_takes_away) {
  Value value;
  value.set("a", 1);
  value.set("b", 2);
  value.set("a", "three");
  EXPECT_EQ(write(value), R"({"a":"three","b":2})");
  value.remove("a");
  value.remove("absent");
  EXPECT_EQ(write(value), R"({"b":2})");
}

TEST(Json, every_byte_below_space_is_escaped_and_reads_back) {
  std::string text = "quote \" backslash \\ slash / delete \x7F euro \xE2\x82\xAC clef \xF0\x9D\x84\x9E";
  for (char c = 1; c < 0x20; ++c) text.push_back(c);
  const std::string written = write(Value::Array{Value(text)});
  for (const char c : written) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  EXPECT_NE(written.find(R"(\u001f)"), std::string::npos);
  EXPECT_NE(written.find(R"(\n)"), std::string::npos);
  const auto read = parse(written);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read->array()->at(0).string(), text);
}

// Texts are looked at in words and blocks that overlap: every byte at every place of every length.
TEST(Json, a_byte_is_escaped_wherever_it_stands) {
  for (size_t length = 1; length <= 70; ++length) {
    for (size_t place = 0; place < length; ++place) {
      for (int byte = 1; byte < 0x80; ++byte) {
        std::string text(length, 'a');
        text[place] = static_cast<char>(byte);
        std::string written;
        append_string(written, text);
        const bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F;
        ASSERT_EQ(written == '"' + text + '"', is_plain) << length << ' ' << place << ' ' << byte;
        ASSERT_EQ(*parse('[' + written + ']')->array()->at(0).string(), text);
      }
    }
  }
}

TEST(Json, both_writers_round_trip_a_document) {
  constexpr std::string_view kText =
      R"({"a":[1,-2,2.5,true,false,null,"x"],"b":{"c":{},"d":[]},"":"empty name"})";
  const auto value = parse(kText);
  ASSERT_TRUE(value);
  EXPECT_EQ(write(*value), kText);
  const std::string pretty = write_pretty(*value);
  EXPECT_NE(pretty.find("\n    \"c\": {}"), std::string::npos) << pretty;
  const auto again = parse(pretty);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *value);
}

TEST(Json, object_writer_writes_members_in_order) {
  std::string text;
  ObjectWriter writer(text);
  writer.add("a", "x\"y").add("b", int64_t{-5}).add_bool("c", false).add_raw("d", "[1]");
  writer.open("e") += "{}";
  writer.add_unless_empty("f", "").add_unless_empty("g", "z").add("h", INT64_MIN).end();
  EXPECT_EQ(text, R"({"a":"x\"y","b":-5,"c":false,"d":[1],"e":{},"g":"z","h":-9223372036854775808})");
  EXPECT_TRUE(parse(text));
  std::string empty;
  ObjectWriter(empty).end();
  EXPECT_EQ(empty, "{}");
}

TEST(Json, a_name_from_elsewhere_is_escaped_as_a_text_is) {
  const std::string name = "a\"b";
  const std::string_view view = "c\nd";
  std::string text;
  ObjectWriter(text).add(name, "1").add(view, "2").add("plain", "3").end();
  EXPECT_EQ(text, R"({"a\"b":"1","c\nd":"2","plain":"3"})");
}

TEST(Json, array_writer_writes_elements_in_order) {
  std::string text;
  ArrayWriter writer(text);
  writer.add("a\"b");
  writer.next() += "1";
  ObjectWriter(writer.next()).end();
  writer.end();
  EXPECT_EQ(text, R"(["a\"b",1,{}])");
  std::string empty;
  ArrayWriter(empty).end();
  EXPECT_EQ(empty, "[]");
}

}  // namespace
}  // namespace behalf::json
