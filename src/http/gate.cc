// Beast's parser reads the head, and the rules around it refuse what it lets through: transfer codings other
// than exactly "chunked", chunked on HTTP/1.0, "Content-Length: 3, 3", obsolete folding, a missing or second
// Host, targets that are not in origin form. RFC 9110 §7.2, RFC 9112 §3, §5, §6.
#include "http/gate.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>

namespace behalf::http {
namespace {

namespace beast = boost::beast;

// What a request line may have beside its target: a method, two spaces, the version.
constexpr size_t kRequestLineSpare = 64;

// Host as far as it can be written without surprises (RFC 3986 §3.2.2, §3.2.3): a name or an address, and a
// port.
bool is_host(std::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '.' || letter == '-' || letter == '_' ||
           letter == ':' || letter == '[' || letter == ']';
  });
}

// Beast has cut the white space off; the bytes behind the view still show whether there was any.
// The head ends in an empty line, so there is a byte to look at.
bool ends_in_space(std::string_view value) { return *(value.data() + value.size()) != '\r'; }

// STRICTER: digits alone. RFC 9112 §6.3 lets a recipient repair "3, 3"; a proxy in front may not.
bool read_length(std::string_view value, size_t& length) {
  if (value.empty() || ends_in_space(value)) return false;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), length);
  return end == value.data() + value.size() && failure == std::errc();
}

class HeadParser final : public beast::http::basic_parser<true> {
 public:
  // `request`: where what is read goes, if it is to be kept.
  HeadParser(const Limits& limits, Request* request) : limits_(limits), request_(request) {
    body_limit(boost::none);  // the gate has its own, with its own status
    header_limit(static_cast<std::uint32_t>(std::min<size_t>(limits.header_bytes, UINT32_MAX)));
  }

  Result<Head, int> read(std::string_view head) {
    beast::error_code failure;
    const size_t used = put(boost::asio::const_buffer(head.data(), head.size()), failure);
    if (refusal_ != 0) return Refused{refusal_};
    if (failure || used != head.size() || !is_header_done()) return Refused{400};
    // RFC 9112 §3.2: exactly one Host, and we cannot serve an unnamed one. HTTP/1.0 knew none.
    if (version_ != 11 && limits_.refuse_http_1_0) return Refused{400};
    if (hosts_ > 1 || (hosts_ == 0 && version_ == 11)) return Refused{400};
    if (head_.chunked && (version_ != 11 || lengths_ != 0)) return Refused{400};
    if (head_.content_length > limits_.body_bytes) return Refused{413};
    head_.keep_alive = version_ == 11 && keep_alive();
    head_.http_1_0 = version_ != 11;
    return head_;
  }

  const RequestLine& line() const { return line_; }

 private:
  using Error = beast::error_code;
  using Text = beast::string_view;

  void refuse(int status, Error& failure) {
    refusal_ = status;
    failure = beast::http::error::bad_value;
  }

  void on_request_impl(beast::http::verb, Text method, Text target, int version, Error& failure) override {
    version_ = version;
    if (target.size() > limits_.target_bytes) return refuse(414, failure);
    // STRICTER: origin form only (RFC 9112 §3.2.1). We are no proxy, and an absolute form would be a second,
    // competing Host.
    const bool printable =
        std::all_of(target.begin(), target.end(), [](char letter) { return letter > 0x20 && letter < 0x7f; });
    if (target.empty() || target.front() != '/' || !printable || target.find('#') != Text::npos) {
      return refuse(400, failure);
    }
    const size_t question = std::min(target.find('?'), target.size());
    line_ = {{method.data(), method.size()}, {target.data(), question}};
    if (request_ == nullptr) return;
    request_->method = line_.method;
    request_->path = line_.path;
    const Text query = target.substr(std::min(question + 1, target.size()));
    request_->query.assign(query.data(), query.size());
  }

  void on_field_impl(beast::http::field known, Text name, Text text, Error& failure) override {
    const std::string_view value(text.data(), text.size());
    if (!is_field_value(value)) return refuse(400, failure);
    using beast::http::field;
    // A switch over Beast's 350 names would have to list them all.
    if (known == field::host) {
      ++hosts_;
      if (!is_host(value)) return refuse(400, failure);
    } else if (known == field::content_length) {
      const int status = read_length(value);
      if (status != 0) return refuse(status, failure);
    } else if (known == field::transfer_encoding) {
      // Anything but exactly this is read by Beast as "no body" and by others as a body (RFC 9112 §6.3).
      if (head_.chunked || !beast::iequals(text, "chunked") || ends_in_space(value))
        return refuse(400, failure);
      head_.chunked = true;
    } else if (known == field::content_encoding) {
      if (!limits_.any_content_coding && !beast::iequals(text, "identity")) return refuse(415, failure);
    } else if (known == field::expect) {
      // RFC 9110 §10.1.1: an expectation we do not know is refused, never ignored.
      if (expectations_++ > 0 || !beast::iequals(text, "100-continue")) return refuse(417, failure);
      // Nobody waits for an answer that HTTP/1.0 does not have.
      head_.wants_continue = version_ == 11;
    }
    if (request_ != nullptr) request_->headers.add({name.data(), name.size()}, value);
  }

  int read_length(std::string_view value) {
    return ++lengths_ > 1 || !behalf::http::read_length(value, head_.content_length) ? 400 : 0;
  }

  void on_response_impl(int, Text, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
  std::size_t on_body_impl(Text, Error&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Error&) override { return 0; }
  void on_finish_impl(Error&) override {}

  const Limits& limits_;
  Request* request_;
  Head head_;
  RequestLine line_;
  int version_ = 0;
  int expectations_ = 0;
  int refusal_ = 0;
  int hosts_ = 0;
  int lengths_ = 0;
};

class AnswerParser final : public beast::http::basic_parser<false> {
 public:
  explicit AnswerParser(bool bodiless) {
    body_limit(boost::none);
    header_limit(UINT32_MAX);
    skip(bodiless);
  }

  std::optional<AnswerHead> read(std::string_view head) {
    beast::error_code failure;
    const size_t used = put(boost::asio::const_buffer(head.data(), head.size()), failure);
    if (failure || used != head.size() || !is_header_done()) return std::nullopt;
    if (head_.chunked && (version_ != 11 || head_.content_length)) return std::nullopt;
    head_.keep_alive = version_ == 11 && keep_alive();
    return std::move(head_);
  }

 private:
  using Error = beast::error_code;
  using Text = beast::string_view;

  void on_response_impl(int status, Text, int version, Error& failure) override {
    head_.status = status;
    version_ = version;
    if (status < 100 || status > 599) failure = beast::http::error::bad_status;
  }

  void on_field_impl(beast::http::field known, Text name, Text text, Error& failure) override {
    const std::string_view value(text.data(), text.size());
    using beast::http::field;
    bool good = is_field_value(value);
    if (known == field::content_length) {
      size_t length = 0;
      good = good && !head_.content_length && read_length(value, length);
      head_.content_length = length;
    } else if (known == field::transfer_encoding) {
      good = good && !head_.chunked && beast::iequals(text, "chunked") && !ends_in_space(value);
      head_.chunked = true;
    }
    if (!good) failure = beast::http::error::bad_value;
    head_.headers.add({name.data(), name.size()}, value);
  }

  void on_request_impl(beast::http::verb, Text, Text, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
  std::size_t on_body_impl(Text, Error&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Error&) override { return 0; }
  void on_finish_impl(Error&) override {}

  AnswerHead head_;
  int version_ = 0;
};

}  // namespace

std::optional<Result<size_t, int>> HeadScanner::scan(std::string_view received, const Limits& limits) {
  using Found = Result<size_t, int>;
  for (;;) {
    const size_t longest = lines_ == 0 ? limits.target_bytes + kRequestLineSpare : limits.header_line_bytes;
    const int too_long = lines_ == 0 ? 414 : 431;
    const size_t feed = received.find('\n', searched_);
    if (feed == std::string_view::npos) {
      searched_ = received.size();
      if (received.size() - line_ > longest + 1) return Found(Refused{too_long});  // + 1: the CR may be there
      if (received.size() >= limits.header_bytes) return Found(Refused{431});
      return std::nullopt;
    }
    // Sizes first, as above, so that the status does not depend on how the bytes were cut into pieces.
    if (feed - line_ > longest + 1) return Found(Refused{too_long});
    if (feed + 1 > limits.header_bytes) return Found(Refused{431});
    // A bare LF ends a line for some readers and not for others (RFC 9112 §2.2); so does a bare CR.
    if (feed == line_ || received[feed - 1] != '\r') return Found(Refused{400});
    const std::string_view line = received.substr(line_, feed - 1 - line_);
    if (line.find('\r') != std::string_view::npos) return Found(Refused{400});
    line_ = searched_ = feed + 1;
    if (line.empty()) {
      // STRICTER: no empty line ahead of a request either.
      return lines_ == 0 ? Found(Refused{400}) : Found(line_);
    }
    if (line.front() == ' ' || line.front() == '\t') return Found(Refused{400});  // obs-fold, RFC 9112 §5.2
    if (lines_ > limits.header_count) return Found(Refused{431});
    ++lines_;
  }
}

Result<Head, int> read_head(std::string_view head, const Limits& limits, Request& request) {
  return HeadParser(limits, &request).read(head);
}

Result<Head, int> check_head(std::string_view head, const Limits& limits, RequestLine& line) {
  HeadParser parser(limits, nullptr);
  auto checked = parser.read(head);
  line = parser.line();
  return checked;
}

std::optional<AnswerHead> read_answer(std::string_view head, bool bodiless) {
  return AnswerParser(bodiless).read(head);
}

ChunkedBody::State ChunkedBody::take(std::string_view& received, std::string& body, size_t limit) {
  while (!received.empty()) {
    if (expect_ == Expect::kData) {
      const size_t part = std::min(size_, received.size());
      body.append(received.substr(0, part));
      received.remove_prefix(part);
      size_ -= part;
      if (size_ == 0) expect_ = Expect::kDataReturn;
      continue;
    }
    const char next = received.front();
    received.remove_prefix(1);
    switch (expect_) {
      case Expect::kSize: {
        unsigned value = 0;
        if (next == '\r') {
          if (digits_ == 0) return State::kMalformed;
          expect_ = Expect::kSizeLineFeed;
          break;
        }
        if (std::from_chars(&next, &next + 1, value, 16).ec != std::errc()) return State::kMalformed;
        if (++digits_ > kMaxSizeDigits) return State::kMalformed;
        size_ = size_ * 16 + value;
        break;
      }
      case Expect::kSizeLineFeed:
        if (next != '\n') return State::kMalformed;
        if (size_ > limit - std::min(limit, body.size())) return State::kTooLarge;
        expect_ = size_ == 0 ? Expect::kLastReturn : Expect::kData;
        digits_ = 0;
        break;
      case Expect::kData:
        break;  // above
      case Expect::kDataReturn:
        if (next != '\r') return State::kMalformed;
        expect_ = Expect::kDataLineFeed;
        break;
      case Expect::kDataLineFeed:
        if (next != '\n') return State::kMalformed;
        expect_ = Expect::kSize;
        break;
      case Expect::kLastReturn:
        if (next != '\r') return State::kMalformed;
        expect_ = Expect::kLastLineFeed;
        break;
      case Expect::kLastLineFeed:
        return next == '\n' ? State::kComplete : State::kMalformed;
    }
  }
  return State::kMore;
}

}  // namespace behalf::http
