// Headers, cookies and forms: what is read, and what is refused because two readers might read it
// differently.
#include "http/message.h"

#include <gtest/gtest.h>

namespace behalf::http {
namespace {

Request with_cookies(std::initializer_list<std::string_view> values) {
  Request request;
  for (const std::string_view value : values) request.headers.add("Cookie", value);
  return request;
}

TEST(Headers, are_found_whatever_their_case_and_the_first_wins) {
  Headers headers;
  headers.add("X-One", "1");
  headers.add("x-one", "2");
  ASSERT_NE(headers.find("X-ONE"), nullptr);
  EXPECT_EQ(*headers.find("X-ONE"), "1");
  EXPECT_EQ(headers.count("x-One"), 2U);
  EXPECT_EQ(headers.find("X-On"), nullptr);
  EXPECT_EQ(headers.count("X-On"), 0U);
}

TEST(Headers, set_replaces_every_value_of_that_name) {
  Headers headers;
  headers.add("X-One", "1");
  headers.add("Other", "o");
  headers.add("x-one", "2");
  headers.set("X-one", "3");
  EXPECT_EQ(headers.count("X-One"), 1U);
  EXPECT_EQ(*headers.find("x-one"), "3");
  EXPECT_EQ(*headers.find("Other"), "o");
}

TEST(Headers, last_element_is_the_right_most_over_all_lines) {
  Headers headers;
  headers.add("X-Forwarded-For", "1.1.1.1");
  headers.add("x-forwarded-for", "2.2.2.2 ,\t3.3.3.3 ");
  EXPECT_EQ(last_element(headers, "X-Forwarded-For"), "3.3.3.3");
  EXPECT_EQ(last_element(headers, "Forwarded"), "");
}

TEST(Cookie, is_found_among_others) {
  const Request request = with_cookies({"a=1; session=abc=def;b=2"});
  EXPECT_EQ(request.cookie("session"), "abc=def");
  EXPECT_EQ(request.cookie("a"), "1");
  EXPECT_EQ(request.cookie("b"), "2");
  EXPECT_EQ(request.cookie("c"), std::nullopt);
  EXPECT_EQ(request.cookie("Session"), std::nullopt);
  EXPECT_EQ(request.cookie("ession"), std::nullopt);
}

TEST(Cookie, sent_twice_alike_is_one_and_sent_twice_differently_is_none) {
  EXPECT_EQ(with_cookies({"s=1; s=1"}).cookie("s"), "1");
  EXPECT_EQ(with_cookies({"s=1; s=2"}).cookie("s"), std::nullopt);
  EXPECT_EQ(with_cookies({"s=1", "s=2"}).cookie("s"), std::nullopt);
  EXPECT_EQ(with_cookies({"s=", "s=2"}).cookie("s"), std::nullopt);
}

TEST(Cookie, nonsense_is_passed_over) {
  EXPECT_EQ(with_cookies({";;=; =x; novalue ;s=1;"}).cookie("s"), "1");
  EXPECT_EQ(with_cookies({"novalue"}).cookie("novalue"), std::nullopt);
  EXPECT_EQ(with_cookies({""}).cookie(""), std::nullopt);
}

TEST(Form, decodes_plus_as_space_and_percent_escapes) {
  const auto form = Form::parse("scope=read+write%20all&name=%C3%A9%2B&x=a%3db");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->get("scope"), "read write all");
  EXPECT_EQ(form->get("name"), "\xC3\xA9+");
  EXPECT_EQ(form->get("x"), "a=b");
}

TEST(Form, splits_a_field_at_its_first_equals_sign) {
  const auto form = Form::parse("a=b=c&d&e=&f[]=1;g=2");
  ASSERT_TRUE(form);
  ASSERT_EQ(form->fields().size(), 4U);
  EXPECT_EQ(form->get("a"), "b=c");
  EXPECT_FALSE(form->has("d"));
  EXPECT_FALSE(form->has("e"));
  EXPECT_EQ(form->get("f[]"), "1;g=2");  // ';' separates nothing, brackets mean nothing
}

TEST(Form, empty_text_and_empty_segments_are_no_fields) {
  ASSERT_TRUE(Form::parse(""));
  EXPECT_TRUE(Form::parse("")->fields().empty());
  ASSERT_TRUE(Form::parse("&a=1&&b=2&"));
  EXPECT_EQ(Form::parse("&a=1&&b=2&")->fields().size(), 2U);
}

TEST(Form, refuses_what_is_not_well_formed) {
  const std::string_view bad[] = {
      "a=%",
      "a=%0",
      "a=%zz",
      "a=%g0",
      "a=%0g",
      "%=1",
      "a=%%41",
      "a=%C0%AF",        // overlong '/'
      "a=%ED%A0%80",     // a surrogate
      "a=%F4%90%80%80",  // beyond Unicode
      "a=%FF",
      "a=\xFF",
      "%C3=1",
      "a=%00",
      "%00=a",
      "=value",
      "a=1&=2",
      "a=b%00c",
  };
  for (const std::string_view text : bad) EXPECT_FALSE(Form::parse(text)) << text;
  EXPECT_FALSE(Form::parse(std::string_view("a=\0b", 4)));
}

TEST(Form, takes_two_hundred_fields_and_not_one_more) {
  std::string text;
  for (size_t count = 0; count < Form::kMaxFields; ++count) text += "a=1&";
  EXPECT_TRUE(Form::parse(text));
  EXPECT_FALSE(Form::parse(text + "a=1"));
}

TEST(Form, says_which_name_is_repeated) {
  const auto form = Form::parse("resource=1&scope=a&resource=2&scope=b");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->repeated({}), "resource");
  EXPECT_EQ(form->repeated({"resource"}), "scope");
  EXPECT_EQ(form->repeated({"resource", "scope"}), std::nullopt);
  EXPECT_EQ(form->all("resource"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(form->get("resource"), "1");
  // An escape does not hide a repetition.
  EXPECT_EQ(Form::parse("scope=a&s%63ope=b")->repeated({}), "scope");
}

TEST(PercentCoding, leaves_only_unreserved_characters) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b+/?&=\xC3\xA9"), "a%20b%2B%2F%3F%26%3D%C3%A9");
  EXPECT_EQ(percent_encode(std::string_view("\0\x7f", 2)), "%00%7F");
}

TEST(PercentCoding, plus_is_a_space_only_where_asked) {
  EXPECT_EQ(percent_decode("a+b%20c", Plus::kSpace), "a b c");
  EXPECT_EQ(percent_decode("a+b%20c", Plus::kLiteral), "a+b c");
}

TEST(PercentCoding, every_byte_comes_back) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(percent_decode(percent_encode(all), Plus::kSpace), all);
}

TEST(WriteForm, is_read_back_by_parse) {
  const std::string text = write_form({{"a b", "1&2=3+4"}, {"\xC3\xA9", ""}});
  EXPECT_EQ(text, "a%20b=1%262%3D3%2B4&%C3%A9=");
  const auto form = Form::parse(text);
  ASSERT_TRUE(form);
  EXPECT_EQ(form->get("a b"), "1&2=3+4");
}

TEST(Responses, carry_their_type) {
  EXPECT_EQ(*json_response(201, "{}").headers.find("content-type"), "application/json");
  EXPECT_EQ(*text_response(404, "x").headers.find("content-type"), "text/plain; charset=utf-8");
  const Response see_other = redirect("/next");
  EXPECT_EQ(see_other.status, 303);
  EXPECT_EQ(*see_other.headers.find("location"), "/next");
}

}  // namespace
}  // namespace behalf::http
