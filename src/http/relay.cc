#include "http/relay.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "http/worker.h"
#include "http/writer.h"

namespace behalf::http {
namespace {

constexpr size_t kPieceBytes = 16 * 1024;
constexpr int kMaxInterim = 8;  // 1xx answers ahead of the real one
// Shorter than what common servers keep an idle connection (Node.js: 5 s): a request that cannot be repeated
// must not meet a close that is already on its way.
constexpr Seconds kIdleLink{4};
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

bool same_word(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](char a, char b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return lower(a) == lower(b);
  });
}

void append_number(std::string& out, size_t number, int base) {
  std::array<char, 24> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr);
}

void append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;  // it would be the end
  append_number(out, bytes.size(), 16);
  out += "\r\n";
  out += bytes;
  out += "\r\n";
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

void append_headers(std::string& out, const Headers& headers) {
  for (const Header& header : headers.list()) {
    if (!same_word(header.name, "Content-Length")) append_header(out, header.name, header.value);
  }
}

}  // namespace

// --- Links ---

std::unique_ptr<Link> Links::take(const Origin& origin) {
  const auto found = idle_.find(&origin);
  if (found == idle_.end()) return nullptr;
  auto& links = found->second.links;
  while (!links.empty()) {
    std::unique_ptr<Link> link = std::move(links.back());  // the newest: the others may go
    links.pop_back();
    if (link->wire.is_quiet()) return link;
  }
  return nullptr;
}

void Links::give_back(const std::shared_ptr<const Origin>& origin, std::unique_ptr<Link> link,
                      uint64_t tick) {
  Idle& idle = idle_[origin.get()];
  if (!idle.origin) idle.origin = origin;
  if (idle.links.size() >= origin->idle_connections) return;
  link->wire.release_memory();
  link->idle_since = tick;
  idle.links.push_back(std::move(link));
}

void Links::sweep(uint64_t tick) {
  for (auto& [key, idle] : idle_) {
    std::erase_if(idle.links, [&](const std::unique_ptr<Link>& link) {
      return tick - link->idle_since >= static_cast<uint64_t>(kIdleLink.count) * Worker::kTicksPerSecond;
    });
  }
}

// --- Relay ---

Relay::Relay(Worker& worker, Wire& client, const Request& request, const Head& head, Body body,
             Forward forward)
    : worker_(worker),
      client_(client),
      request_(request),
      head_(head),
      body_(body),
      forward_(std::move(forward)),
      sender_ended_(worker.io()) {}

void Relay::wait_at_most(Seconds span) { deadline_ = worker_.tick_in(span); }

void Relay::cut() {
  cut_ = true;
  client_.cut();
  if (resolver_) resolver_->cancel();
  if (!link_) return;
  error_code ignored;
  link_->wire.socket.cancel(ignored);  // a connection that is being opened cannot be shut down
  link_->wire.cut();
}

void Relay::check(uint64_t tick) {
  if (cut_) return;
  // A client that has gone wants nothing more, and an origin that streams would never find out.
  if ((forward_.may_go_on && !forward_.may_go_on()) || client_.peer_left()) return cut();
  if (tick < std::min(deadline_, sender_deadline_)) return;
  if (answering_) {
    client_.reset();
    return cut();
  }
  late_ = true;
  deadline_ = sender_deadline_ = UINT64_MAX;
  if (resolver_) resolver_->cancel();
  if (!link_) return;
  error_code ignored;
  link_->wire.socket.cancel(ignored);
  link_->wire.cut();
}

bool Relay::can_repeat() const {
  static constexpr std::array<std::string_view, 5> kIdempotent = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
  return body_ != Body::kWaiting &&
         std::find(kIdempotent.begin(), kIdempotent.end(), request_.method) != kIdempotent.end();
}

Awaitable<bool> Relay::connect_to(const asio::generic::stream_protocol::endpoint& endpoint) {
  error_code failure;
  Socket socket(worker_.io());
  socket.open(endpoint.protocol(), failure);
  if (failure) co_return false;
  link_ = std::make_unique<Link>(std::move(socket));
  Socket& connecting = link_->wire.socket;
  co_await connecting.async_connect(endpoint, asio::redirect_error(kAwait, failure));
  if (failure) co_return false;
  connecting.native_non_blocking(true, failure);
  const Target& target = forward_.origin->target;
  if (target.unix_path.empty()) {
    const int on = 1;
    ::setsockopt(connecting.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  if (!target.tls) co_return true;
  Wire& wire = link_->wire;
  wire.tls.emplace(*forward_.origin->trust, connecting.native_handle(), target.host);
  const bool shaken = co_await wire.shake_hands();
  co_return shaken;
}

Awaitable<bool> Relay::connect() {
  const Target& target = forward_.origin->target;
  if (!target.unix_path.empty()) {
    const asio::generic::stream_protocol::endpoint path(
        asio::local::stream_protocol::endpoint(target.unix_path));
    const bool connected = co_await connect_to(path);
    co_return connected;
  }
  error_code failure;
  const auto address = asio::ip::make_address(target.host, failure);
  if (!failure) {
    const asio::generic::stream_protocol::endpoint numeric(asio::ip::tcp::endpoint(address, target.port));
    const bool connected = co_await connect_to(numeric);
    co_return connected;
  }
  resolver_ = std::make_unique<asio::ip::basic_resolver<asio::ip::tcp, Executor>>(worker_.io());
  const std::string port = std::to_string(target.port);
  const auto found =
      co_await resolver_->async_resolve(target.host, port, asio::redirect_error(kAwait, failure));
  resolver_.reset();
  if (failure) co_return false;
  for (const auto& entry : found) {
    if (late_ || cut_) co_return false;
    const asio::generic::stream_protocol::endpoint endpoint(entry.endpoint());
    const bool connected = co_await connect_to(endpoint);
    if (connected) co_return true;
  }
  co_return false;
}

std::string Relay::write_head() const {
  std::string out = request_.method + " " + forward_.target + " HTTP/1.1\r\n";
  append_headers(out, forward_.headers);
  if (body_ == Body::kRead || (body_ == Body::kWaiting && !head_.chunked)) {
    out += "Content-Length: ";
    append_number(out, body_ == Body::kRead ? request_.body.size() : head_.content_length, 10);
    out += "\r\n";
  } else if (body_ == Body::kWaiting) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH") {
    out += "Content-Length: 0\r\n";
  }
  if (!forward_.upgrade.empty()) {
    append_header(out, "Connection", "Upgrade");
    append_header(out, "Upgrade", forward_.upgrade);
  }
  out += "\r\n";
  if (body_ == Body::kRead) out += request_.body;
  return out;
}

Awaitable<int> Relay::run() {
  int status = co_await ask();
  deadline_ = UINT64_MAX;
  if (status == kDone) {
    // Not a conditional expression: each side suspends.
    if (answer_.status == 101) {
      status = co_await tunnel();
    } else {
      status = co_await pass_answer();
    }
  }
  end_sender();
  co_await await_sender();
  if (cut_) co_return kBroken;
  if (status == kDone && answer_.keep_alive && link_->wire.received().empty()) {
    worker_.links().give_back(forward_.origin, std::move(link_), worker_.tick());
  }
  link_.reset();
  co_return status;
}

// Sends the request until there is the head of an answer; kDone, or the status that says what was wrong.
Awaitable<int> Relay::ask() {
  const std::string head = write_head();
  for (int attempt = 0;; ++attempt) {
    wait_at_most(forward_.origin->connect_time);
    link_ = attempt == 0 ? worker_.links().take(*forward_.origin) : nullptr;
    const bool kept = link_ != nullptr;
    if (!kept) {
      const bool connected = co_await connect();
      if (cut_) co_return kBroken;
      if (!connected || late_) co_return late_ ? 504 : 502;
    }
    wait_at_most(forward_.origin->answer_time);
    const bool sent = co_await link_->wire.send(head);
    if (sent && body_ == Body::kWaiting) start(send_body());
    // An origin may refuse and close before it has read everything: its answer is then there to be read.
    const int status = co_await read_answer_head();
    if (cut_) co_return kBroken;
    if (client_fault_ != 0 && status != kDone) co_return client_fault_;
    if (status == kNothing && kept && attempt == 0 && can_repeat() && !late_) continue;
    if (late_) co_return 504;
    co_return status == kNothing ? 502 : status;
  }
}

Awaitable<int> Relay::read_answer_head() {
  Wire& origin = link_->wire;
  bool anything = false;
  for (int interim = 0; interim < kMaxInterim; ++interim) {
    HeadScanner scanner;
    size_t size = 0;
    while (size == 0) {
      const auto found = scanner.scan(origin.received(), worker_.shared().limits);
      if (found && !*found) co_return 502;
      if (found) {
        size = found->value();
        break;
      }
      const bool more = co_await origin.fill(kPieceBytes);
      if (!more) co_return anything ? 502 : kNothing;
      anything = true;
    }
    const bool bodiless = request_.method == "HEAD";
    auto head = read_answer(origin.received().substr(0, size), bodiless);
    if (!head) co_return 502;
    origin.consume(size);
    answer_ = std::move(*head);
    if (answer_.status == 101) {
      const std::string* to = answer_.headers.find("Upgrade");
      if (forward_.upgrade.empty() || to == nullptr || !same_word(*to, forward_.upgrade)) co_return 502;
      co_return kDone;
    }
    if (answer_.status >= 200) co_return kDone;
  }
  co_return 502;
}

void Relay::begin_answer(bool chunked, bool close) {
  output_ = "HTTP/1.1 ";
  append_number(output_, static_cast<size_t>(answer_.status), 10);
  output_ += ' ';
  output_ += reason_phrase(answer_.status);
  output_ += "\r\n";
  append_headers(output_, end_to_end(answer_.headers));
  if (answer_.status == 101) {
    append_header(output_, "Connection", "Upgrade");
    append_header(output_, "Upgrade", forward_.upgrade);
  } else {
    if (chunked) append_header(output_, "Transfer-Encoding", "chunked");
    if (answer_.content_length && answer_.status != 204 && answer_.status != 304) {
      output_ += "Content-Length: ";
      append_number(output_, *answer_.content_length, 10);
      output_ += "\r\n";
    }
    if (close) append_header(output_, "Connection", "close");
  }
  output_ += "\r\n";
}

Awaitable<int> Relay::pass_answer() {
  Wire& origin = link_->wire;
  const bool empty = request_.method == "HEAD" || answer_.status == 204 || answer_.status == 304;
  const bool to_end = !empty && !answer_.chunked && !answer_.content_length;
  const bool chunked = !empty && !answer_.content_length && !head_.http_1_0;
  // A body that has not arrived by now may still be on its way behind this answer.
  const bool is_last = worker_.is_stopping() || !head_.keep_alive || (to_end && !chunked) ||
                       (body_ == Body::kWaiting && !body_sent_);
  begin_answer(chunked, is_last);
  ChunkedBody chunks;
  std::string piece;
  size_t left = answer_.content_length.value_or(0);
  bool complete = empty || (answer_.content_length && left == 0);
  bool ended = false;  // the origin has closed
  for (;;) {
    if (!complete) {
      std::string_view rest = origin.received();
      piece.clear();
      if (answer_.chunked) {
        const ChunkedBody::State state = chunks.take(rest, piece, SIZE_MAX);
        if (state == ChunkedBody::State::kMalformed || state == ChunkedBody::State::kTooLarge) break;
        origin.consume(origin.received().size() - rest.size());
        complete = state == ChunkedBody::State::kComplete;
      } else {
        const size_t part = to_end ? rest.size() : std::min(left, rest.size());
        piece.assign(rest.substr(0, part));
        origin.consume(part);
        left -= to_end ? 0 : part;
        complete = to_end ? ended : left == 0;
      }
      if (chunked) {
        append_chunk(output_, piece);
      } else {
        output_ += piece;
      }
      if (complete && chunked) output_ += "0\r\n\r\n";
    }
    if (!output_.empty()) {
      wait_at_most(forward_.origin->stall_time);
      answering_ = true;
      const bool sent = co_await client_.send(output_);
      if (!sent) co_return kBroken;
      output_.clear();
    }
    if (complete) co_return is_last ? kClose : kDone;
    wait_at_most(forward_.origin->quiet_time);
    const bool more = co_await origin.fill(kPieceBytes);
    if (!more && (!to_end || late_ || cut_)) break;
    ended = !more;
  }
  // What was cut short must not look complete.
  client_.reset();
  co_return kBroken;
}

Awaitable<int> Relay::tunnel() {
  begin_answer(false, false);
  answering_ = true;
  start(send_on());
  for (;;) {
    const std::string_view arrived = link_->wire.received();
    output_ += arrived;
    link_->wire.consume(arrived.size());
    const bool sent = co_await client_.send(output_);
    if (!sent) break;
    output_.clear();
    wait_at_most(forward_.origin->quiet_time);
    const bool more = co_await link_->wire.fill(kPieceBytes);
    if (!more) break;
  }
  client_.finish();
  co_return kClose;
}

// --- The second coroutine: from the client to the origin ---

void Relay::start(Awaitable<void> sending) {
  sender_runs_ = true;
  asio::co_spawn(worker_.io(), std::move(sending), [this](const std::exception_ptr& fault) {
    if (fault) cut();  // out of memory
    sender_runs_ = false;
    sender_deadline_ = UINT64_MAX;
    sender_ended_.cancel();
  });
}

Awaitable<void> Relay::send_body() {
  if (head_.wants_continue && client_.received().empty()) {
    const bool sent = co_await client_.send(kContinue);
    if (!sent) co_return;
  }
  ChunkedBody chunks;
  size_t left = head_.content_length;
  const size_t limit = worker_.shared().limits.body_bytes;
  size_t total = 0;
  std::string piece;
  for (;;) {
    std::string_view rest = client_.received();
    bool complete = false;
    upload_.clear();
    if (head_.chunked) {
      piece.clear();
      const ChunkedBody::State state = chunks.take(rest, piece, limit);
      total += piece.size();
      if (state == ChunkedBody::State::kMalformed) client_fault_ = 400;
      if (state == ChunkedBody::State::kTooLarge || total > limit) client_fault_ = 413;
      if (client_fault_ != 0) {
        link_->wire.cut();  // the origin must not take it for whole
        co_return;
      }
      client_.consume(client_.received().size() - rest.size());
      complete = state == ChunkedBody::State::kComplete;
      append_chunk(upload_, piece);
      if (complete) upload_ += "0\r\n\r\n";
    } else {
      upload_.assign(rest.substr(0, std::min(left, rest.size())));
      client_.consume(upload_.size());
      left -= upload_.size();
      complete = left == 0;
    }
    sender_deadline_ = worker_.tick_in(forward_.origin->stall_time);
    const bool sent = co_await link_->wire.send(upload_);
    if (!sent) co_return;
    if (complete) {
      body_sent_ = true;
      co_return;
    }
    // The origin is not late while its request is on its way.
    if (!answering_) wait_at_most(forward_.origin->answer_time);
    const bool more = co_await client_.fill(kPieceBytes);
    if (!more) {
      link_->wire.cut();
      client_fault_ = 400;
      co_return;
    }
  }
}

Awaitable<void> Relay::send_on() {
  for (;;) {
    const bool more = co_await client_.fill(kPieceBytes);
    if (!more) break;
    const std::string_view arrived = client_.received();
    upload_.assign(arrived);
    client_.consume(arrived.size());
    wait_at_most(forward_.origin->quiet_time);
    sender_deadline_ = worker_.tick_in(forward_.origin->stall_time);
    const bool sent = co_await link_->wire.send(upload_);
    sender_deadline_ = UINT64_MAX;
    if (!sent) break;
  }
  link_->wire.cut();
}

void Relay::end_sender() {
  if (!sender_runs_) return;
  error_code ignored;
  client_.socket.cancel(ignored);
  if (link_) link_->wire.cut();
}

Awaitable<void> Relay::await_sender() {
  while (sender_runs_) {
    error_code woken;
    sender_ended_.expires_at(std::chrono::steady_clock::time_point::max());
    co_await sender_ended_.async_wait(asio::redirect_error(kAwait, woken));
  }
}

// --- Headers on the way through ---

bool is_connection_option(const Headers& headers, std::string_view name) {
  for (const Header& header : headers.list()) {
    if (!same_word(header.name, "Connection")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      std::string_view word = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t first = std::min(word.find_first_not_of(" \t"), word.size());
      word.remove_prefix(first);
      word = word.substr(0, word.find_last_not_of(" \t") + 1);
      if (same_word(word, name)) return true;
    }
  }
  return false;
}

Headers end_to_end(const Headers& headers) {
  static constexpr std::array<std::string_view, 9> kHopByHop = {"Connection",
                                                                "Keep-Alive",
                                                                "Proxy-Connection",
                                                                "Proxy-Authenticate",
                                                                "Proxy-Authorization",
                                                                "TE",
                                                                "Trailer",
                                                                "Transfer-Encoding",
                                                                "Upgrade"};
  Headers kept;
  for (const Header& header : headers.list()) {
    const bool ours = std::any_of(kHopByHop.begin(), kHopByHop.end(),
                                  [&](std::string_view name) { return same_word(header.name, name); });
    if (!ours && !is_connection_option(headers, header.name)) kept.add(header.name, header.value);
  }
  return kept;
}

}  // namespace behalf::http
