// The gate as a function of bytes: every way a message could be framed twice, and every limit at it and one
// over.
#include "http/gate.h"

#include <gtest/gtest.h>

#include "http/writer.h"

namespace behalf::http {
namespace {

// The status the head is refused with, or 0; fed in pieces of `step` bytes.
int verdict(std::string_view bytes, const Limits& limits = {}, size_t step = SIZE_MAX) {
  HeadScanner scanner;
  std::string received;
  for (;;) {
    const auto found = scanner.scan(received, limits);
    if (found && !*found) return found->reason();
    if (found) {
      Request request;
      const std::string_view text = std::string_view(received).substr(0, found->value());
      const auto head = read_head(text, limits, request);
      RequestLine line;
      const auto checked = check_head(text, limits, line);
      const int status = head ? 0 : head.reason();
      EXPECT_EQ(checked ? 0 : checked.reason(), status) << "kept or not";
      return status;
    }
    if (received.size() == bytes.size()) return -1;  // it wants more
    received.append(bytes.substr(received.size(), step));
  }
}

std::string get(std::string_view headers) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}
std::string post(std::string_view headers) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}
std::string target(std::string_view text) {
  return "GET " + std::string(text) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

struct GateCase {
  const char* what;
  std::string bytes;
  int status;
};

class Gate : public testing::TestWithParam<GateCase> {};

TEST_P(Gate, answers_as_the_table_says_however_the_bytes_arrive) {
  const GateCase& row = GetParam();
  EXPECT_EQ(verdict(row.bytes), row.status);
  EXPECT_EQ(verdict(row.bytes, {}, 1), row.status);
  EXPECT_EQ(verdict(row.bytes, {}, 7), row.status);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Gate,
    testing::Values(
        GateCase{"plain", get(""), 0}, GateCase{"length", post("Content-Length: 3\r\n"), 0},
        GateCase{"chunked", post("Transfer-Encoding: chunked\r\n"), 0},
        GateCase{"chunked_in_another_case", post("transfer-encoding: Chunked\r\n"), 0},
        GateCase{"length_and_chunked", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400},
        GateCase{"chunked_and_length", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400},
        GateCase{"two_equal_lengths", post("Content-Length: 3\r\nContent-Length: 3\r\n"), 400},
        GateCase{"two_different_lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n"), 400},
        GateCase{"length_list", post("Content-Length: 3, 3\r\n"), 400},
        GateCase{"length_plus", post("Content-Length: +5\r\n"), 400},
        GateCase{"length_minus", post("Content-Length: -5\r\n"), 400},
        GateCase{"length_trailing_space", post("Content-Length: 5 \r\n"), 400},
        GateCase{"length_trailing_tab", post("Content-Length: 5\t\r\n"), 400},
        GateCase{"length_hexadecimal", post("Content-Length: 0x5\r\n"), 400},
        GateCase{"length_empty", post("Content-Length: \r\n"), 400},
        GateCase{"length_fraction", post("Content-Length: 5.0\r\n"), 400},
        GateCase{"length_overflow", post("Content-Length: 18446744073709551616\r\n"), 400},
        GateCase{"length_largest", post("Content-Length: 18446744073709551615\r\n"), 413},
        GateCase{"coding_identity", post("Transfer-Encoding: identity\r\n"), 400},
        GateCase{"coding_xchunked", post("Transfer-Encoding: xchunked\r\n"), 400},
        GateCase{"coding_chunked_identity", post("Transfer-Encoding: chunked, identity\r\n"), 400},
        GateCase{"coding_gzip_chunked", post("Transfer-Encoding: gzip, chunked\r\n"), 400},
        GateCase{"coding_chunked_twice", post("Transfer-Encoding: chunked, chunked\r\n"), 400},
        GateCase{"coding_empty_then_chunked", post("Transfer-Encoding: ,chunked\r\n"), 400},
        GateCase{"coding_two_lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                 400},
        GateCase{"coding_two_lines_identity",
                 post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400},
        GateCase{"coding_quoted", post("Transfer-Encoding: \"chunked\"\r\n"), 400},
        GateCase{"coding_parameter", post("Transfer-Encoding: chunked;q=1\r\n"), 400},
        GateCase{"coding_trailing_space", post("Transfer-Encoding: chunked \r\n"), 400},
        GateCase{"coding_vertical_tab",
                 post("Transfer-Encoding: \x0b"
                      "chunked\r\n"),
                 400},
        GateCase{"coding_empty", post("Transfer-Encoding:\r\n"), 400},
        GateCase{"space_before_colon", post("Transfer-Encoding : chunked\r\n"), 400},
        GateCase{"tab_before_colon", post("Content-Length\t: 3\r\n"), 400},
        GateCase{"chunked_on_1_0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        GateCase{"fold_space", get("X: a\r\n b\r\n"), 400}, GateCase{"fold_tab", get("X: a\r\n\tb\r\n"), 400},
        GateCase{"fold_of_coding", post("Transfer-Encoding:\r\n chunked\r\n"), 400},
        GateCase{"fold_before_first_header", "GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400},
        GateCase{"bare_line_feed", "GET / HTTP/1.1\nHost: a\n\n", 400},
        GateCase{"bare_line_feed_in_header", get("X: a\nContent-Length: 3\r\n"), 400},
        GateCase{"line_feed_carriage_return", "GET / HTTP/1.1\n\rHost: a\n\r\n\r", 400},
        GateCase{"bare_carriage_return", get("X: a\rContent-Length: 3\r\n"), 400},
        GateCase{"double_carriage_return", get("X: a\r\r\n"), 400},
        GateCase{"nul_in_value", get(std::string_view("X: a\0b\r\n", 8)), 400},
        GateCase{"nul_in_name", get(std::string_view("X\0: a\r\n", 7)), 400},
        GateCase{"delete_in_value", get("X: a\x7f\r\n"), 400}, GateCase{"empty_name", get(": a\r\n"), 400},
        GateCase{"no_colon", get("X\r\n"), 400}, GateCase{"name_with_space", get("X Y: a\r\n"), 400},
        GateCase{"name_beyond_ascii", get("X\xC3\xA9: a\r\n"), 400},
        GateCase{"value_beyond_ascii", get("X: \xC3\xA9\r\n"), 0},
        GateCase{"no_host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
        GateCase{"no_header_at_all", "GET / HTTP/1.1\r\n\r\n", 400},
        GateCase{"no_host_on_1_0", "GET / HTTP/1.0\r\n\r\n", 0},
        GateCase{"two_hosts", get("Host: a\r\n"), 400},
        GateCase{"two_hosts_on_1_0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        GateCase{"empty_host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
        GateCase{"host_with_user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
        GateCase{"host_list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
        GateCase{"host_with_path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        GateCase{"host_with_port_and_case", "GET / HTTP/1.1\r\nHost: A.example:8080\r\n\r\n", 0},
        GateCase{"host_ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0},
        GateCase{"absolute_form", target("http://a/"), 400}, GateCase{"asterisk_form", target("*"), 400},
        GateCase{"authority_form", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"connect_in_origin_form", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        GateCase{"empty_target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"no_target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"target_beyond_ascii", target("/\xC3\xA9"), 400},
        GateCase{"target_with_tab", target("/a\tb"), 400},
        GateCase{"target_with_delete", target("/\x7f"), 400},
        GateCase{"target_with_fragment", target("/a#b"), 400},
        GateCase{"target_with_space", target("/a b"), 400},
        GateCase{"target_with_query", target("/a?b=c?d"), 0},
        GateCase{"unknown_method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        GateCase{"method_no_token", "G{T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"http_2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400},
        GateCase{"http_0_9", "GET /\r\n\r\n", 400},
        GateCase{"http_1_2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400},
        GateCase{"version_in_small_letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"version_with_tail", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        GateCase{"empty_line_first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        GateCase{"http2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        GateCase{"gzip_body", post("Content-Encoding: gzip\r\nContent-Length: 3\r\n"), 415},
        GateCase{"brotli_body", post("Content-Encoding: br\r\n"), 415},
        GateCase{"identity_body", post("Content-Encoding: identity\r\nContent-Length: 3\r\n"), 0},
        GateCase{"expect_continue", post("Expect: 100-continue\r\nContent-Length: 3\r\n"), 0},
        GateCase{"expect_other", post("Expect: 200-ok\r\nContent-Length: 3\r\n"), 417},
        GateCase{"expect_obfuscated", post("Expect: y 100-continue\r\nContent-Length: 3\r\n"), 417},
        GateCase{"expect_twice", post("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417},
        GateCase{"expect_twice_on_1_0",
                 "POST / HTTP/1.0\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417},
        GateCase{"expect_continue_too_large", post("Expect: 100-continue\r\nContent-Length: 65537\r\n"), 413},
        GateCase{"body_at_the_limit", post("Content-Length: 65536\r\n"), 0},
        GateCase{"body_over_the_limit", post("Content-Length: 65537\r\n"), 413},
        GateCase{"head_without_end", "GET / HTTP/1.1\r\nHost: a\r\n", -1}),
    [](const testing::TestParamInfo<GateCase>& row) { return row.param.what; });

TEST(GateLimits, target_at_the_limit_passes_and_one_over_is_414) {
  const Limits limits;
  EXPECT_EQ(verdict(target("/" + std::string(limits.target_bytes - 1, 'a'))), 0);
  EXPECT_EQ(verdict(target("/" + std::string(limits.target_bytes, 'a'))), 414);
  // An endless request line is refused before it ends.
  EXPECT_EQ(verdict("GET /" + std::string(limits.target_bytes + 100, 'a')), 414);
}

TEST(GateLimits, header_line_at_the_limit_passes_and_one_over_is_431) {
  const Limits limits;
  EXPECT_EQ(verdict(get("X: " + std::string(limits.header_line_bytes - 3, 'a') + "\r\n")), 0);
  EXPECT_EQ(verdict(get("X: " + std::string(limits.header_line_bytes - 2, 'a') + "\r\n")), 431);
  EXPECT_EQ(verdict("GET / HTTP/1.1\r\nX: " + std::string(limits.header_line_bytes, 'a')), 431);
}

TEST(GateLimits, header_count_at_the_limit_passes_and_one_over_is_431) {
  std::string headers;
  for (size_t count = 1; count < Limits().header_count; ++count) headers += "X: a\r\n";
  EXPECT_EQ(verdict(get(headers)), 0);  // with Host
  EXPECT_EQ(verdict(get(headers + "X: a\r\n")), 431);
}

TEST(GateLimits, header_size_at_the_limit_passes_and_one_over_is_431) {
  Limits limits;
  const std::string head = get("X: abcdef\r\n");
  limits.header_bytes = head.size();
  EXPECT_EQ(verdict(head, limits), 0);
  EXPECT_EQ(verdict(head, limits, 1), 0);
  limits.header_bytes = head.size() - 1;
  EXPECT_EQ(verdict(head, limits), 431);
  EXPECT_EQ(verdict(head, limits, 1), 431);
}

TEST(ReadHead, fills_the_request) {
  Request request;
  const auto head = read_head(
      "PUT /a%20b?c=d&e HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\nContent-Length: 12\r\n\r\n", {}, request);
  ASSERT_TRUE(head);
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.path, "/a%20b");
  EXPECT_EQ(request.query, "c=d&e");
  EXPECT_EQ(*request.headers.find("x-y"), "z");
  EXPECT_EQ(head->content_length, 12U);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_FALSE(head->wants_continue);
}

TEST(ReadHead, closes_where_the_client_asks_and_after_http_1_0) {
  Request request;
  EXPECT_FALSE(read_head("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", {}, request)->keep_alive);
  EXPECT_FALSE(read_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", {}, request)->keep_alive);
}

struct Decoded {
  ChunkedBody::State state;
  std::string body;
  std::string rest;
};

Decoded decode(std::string_view bytes, size_t limit, size_t step) {
  ChunkedBody chunks;
  Decoded decoded{ChunkedBody::State::kMore, {}, {}};
  while (decoded.state == ChunkedBody::State::kMore && !bytes.empty()) {
    const std::string_view whole = bytes.substr(0, step);
    std::string_view part = whole;
    decoded.state = chunks.take(part, decoded.body, limit);
    bytes.remove_prefix(whole.size() - part.size());
  }
  decoded.rest = bytes;
  return decoded;
}

TEST(Chunked, is_decoded_and_leaves_the_next_request_alone) {
  for (const size_t step : {size_t{1}, size_t{3}, size_t{100}}) {
    const Decoded decoded = decode("3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nGET", 100, step);
    EXPECT_EQ(decoded.state, ChunkedBody::State::kComplete);
    EXPECT_EQ(decoded.body, "abc0123456789");
    EXPECT_EQ(decoded.rest, "GET");
  }
}

TEST(Chunked, refuses_every_other_spelling) {
  const std::string_view bad[] = {
      "\r\n",
      "g\r\n",
      "-1\r\nabc",
      "+3\r\nabc",
      " 3\r\nabc",
      "3 \r\nabc",
      "0x3\r\nabc",
      "3;ext=1\r\nabc",
      "3;\r\nabc",
      "3\nabc",
      "3\r\rabc",
      "3\r\nabcd",
      "3\r\nabc\n",
      "3\r\nabc\r\r",
      "000000001\r\na",
      "FFFFFFFFFFFFFFFFF\r\n",
      "0\r\nX: a\r\n\r\n",
      "0\r\n\n",
      "0\r\n\rx",
      "3\r\nabc0\r\n\r\n",
  };
  for (const std::string_view text : bad) {
    for (const size_t step : {size_t{1}, size_t{100}}) {
      EXPECT_EQ(decode(text, 100, step).state, ChunkedBody::State::kMalformed) << text;
    }
  }
}

TEST(Chunked, body_at_the_limit_passes_and_one_over_is_too_large) {
  EXPECT_EQ(decode("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", 5, 100).state, ChunkedBody::State::kComplete);
  EXPECT_EQ(decode("2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n", 5, 100).state, ChunkedBody::State::kTooLarge);
  EXPECT_EQ(decode("FFFFFFFF\r\n", 5, 100).state, ChunkedBody::State::kTooLarge);
}

TEST(Writer, states_length_date_and_connection_itself) {
  Response response = text_response(201, "hello");
  response.headers.add("content-LENGTH", "99");
  response.headers.add("Transfer-Encoding", "chunked");
  response.headers.add("Connection", "keep-alive");
  response.headers.add("Date", "yesterday");
  response.headers.add("X-Kept", "yes");
  std::string out;
  ASSERT_TRUE(write_answer(out, response, BodyRule::kSend, Persistence::kClose, "today"));
  EXPECT_EQ(
      out,
      "HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nX-Kept: yes\r\nDate: today\r\n"
      "Content-Length: 5\r\nConnection: close\r\n\r\nhello");
}

TEST(Writer, sends_no_body_where_there_can_be_none) {
  std::string out;
  ASSERT_TRUE(
      write_answer(out, text_response(200, "hello"), BodyRule::kLeaveOut, Persistence::kKeepAlive, ""));
  EXPECT_TRUE(out.ends_with("Content-Length: 5\r\n\r\n")) << out;
  for (const int status : {204, 304}) {
    out.clear();
    ASSERT_TRUE(
        write_answer(out, text_response(status, "hello"), BodyRule::kSend, Persistence::kKeepAlive, ""));
    EXPECT_EQ(out.find("Content-Length"), std::string::npos) << out;
    EXPECT_TRUE(out.ends_with("\r\n\r\n")) << out;
  }
}

TEST(Writer, refuses_headers_that_would_break_out) {
  for (const std::string_view value : {"a\r\nSet-Cookie: x=y", "a\nb", "a\rb", "a\x01"}) {
    Response response;
    response.headers.add("Location", value);
    std::string out;
    EXPECT_FALSE(write_answer(out, response, BodyRule::kSend, Persistence::kKeepAlive, ""));
    EXPECT_EQ(out, "");
  }
  for (const std::string_view name : {"", "a b", "a:", "a\r\n"}) {
    Response response;
    response.headers.add(name, "value");
    std::string out;
    EXPECT_FALSE(write_answer(out, response, BodyRule::kSend, Persistence::kKeepAlive, ""));
  }
}

TEST(Writer, writes_dates_as_the_rfc_has_them) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace behalf::http
