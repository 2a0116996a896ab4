#include "oauth/status_list.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/bytes.h"
#include "base/loop.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "oauth/liveness.h"

namespace behalf::oauth {
namespace {

using store::kStatusListSize;
constexpr std::string_view kMediaType = "application/statuslist+jwt";
// Read in pieces, so that others who read are not kept waiting.
constexpr int64_t kPiece = 512;
// A list is made anew at most this often, and only if something has ended since, or when it grows old.
constexpr int64_t kShortest = 1000;
constexpr int64_t kLongest = 30'000;
constexpr Seconds kLife{600};
constexpr size_t kMostLists = 4096;

std::string uri_of(const std::string& issuer, int64_t list) {
  return issuer + "/statuslists?list=" + std::to_string(list);
}

// RFC 1950, as the draft demands.
std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::string out(size, '\0');
  const int result =
      compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                static_cast<uLong>(bytes.size()), Z_BEST_COMPRESSION);
  if (result != Z_OK) throw std::runtime_error("a status list cannot be compressed");
  out.resize(size);
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view take_until(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view part = trimmed(rest.substr(0, end));
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

bool is_same_name(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char c, char wanted) {
    return (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) == wanted;
  });
}

// The weight "q=0" in any of its forms: what is named is not wanted.
bool is_unwanted(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = take_until(parameters, ';');
    if (parameter.size() < 3 || !is_same_name(parameter.substr(0, 2), "q=")) continue;
    return parameter.substr(2).find_first_not_of("0.") == std::string_view::npos;
  }
  return false;
}

// RFC 9110 §12.5.1, as far as one media type needs it; absent means anything. What is named most exactly
// counts.
bool accepts_list(const http::Request& request) {
  if (request.headers.find("Accept") == nullptr) return true;
  constexpr std::string_view kRanges[] = {"*/*", "application/*", kMediaType};
  std::optional<bool> wanted[std::size(kRanges)];
  for (const http::Header& header : request.headers.list()) {
    if (!is_same_name(header.name, "accept")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      std::string_view parameters = take_until(rest, ',');
      const std::string_view range = take_until(parameters, ';');
      for (size_t i = 0; i < std::size(kRanges); ++i) {
        if (is_same_name(range, kRanges[i]))
          wanted[i] = wanted[i].value_or(false) || !is_unwanted(parameters);
      }
    }
  }
  return wanted[2].value_or(wanted[1].value_or(wanted[0].value_or(false)));
}

http::Response open_to_all(http::Response response) {
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
}

}  // namespace

// A Feistel network over the 16 bits of a position: a permutation whatever its rounds compute.
int64_t scatter_status_place(const Keys& keys, int64_t number) {
  static_assert(kStatusListSize == 1 << 16);
  const int64_t list = number / kStatusListSize;
  const std::string key = keys.seal("status list " + std::to_string(list));
  auto left = static_cast<unsigned>((number % kStatusListSize) >> 8);
  auto right = static_cast<unsigned>(number & 0xFF);
  for (char round = 0; round < 6; ++round) {
    const Digest mixed = crypto::sha256(key + round + static_cast<char>(right));
    const unsigned next = left ^ static_cast<unsigned char>(mixed[0]);
    left = right;
    right = next;
  }
  return list * kStatusListSize + static_cast<int64_t>((left << 8) | right);
}

std::string status_claim(const std::string& issuer, int64_t place) {
  std::string list;
  json::ObjectWriter(list)
      .add("idx", place % kStatusListSize)
      .add("uri", uri_of(issuer, place / kStatusListSize))
      .end();
  std::string status;
  json::ObjectWriter(status).add_raw("status_list", list).end();
  return status;
}

Task<http::Response> StatusLists::serve(http::Request& request) {
  const auto query = http::Form::parse(request.query);
  if (!query || query->all("list").size() > 1)
    co_return open_to_all(plain_error(400, "invalid_request", "the query is not well-formed"));
  if (!query->all("time").empty())
    co_return open_to_all(plain_error(501, "not_implemented", "only the list as it is now can be had"));
  if (query->all("list").empty()) co_return co_await aggregation();
  if (!accepts_list(request))
    co_return open_to_all(plain_error(406, "not_acceptable", "a status list is application/statuslist+jwt"));
  const std::string_view text = query->get("list");
  int64_t list = -1;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), list);
  const bool is_number = fault == std::errc() && end == text.data() + text.size();
  if (!is_number || list < 0 || list > INT64_MAX / kStatusListSize - 1)
    co_return open_to_all(plain_error(404, "not_found", "there is no such status list"));
  co_return co_await one(list);
}

Task<http::Response> StatusLists::aggregation() {
  std::optional<std::pair<int64_t, int64_t>> places;
  co_await services_.store.read(
      [&](store::ReadTransaction& transaction) { places = transaction.status_places(); });
  json::Value::Array uris;
  if (places) {
    for (int64_t list = places->first / kStatusListSize; list <= places->second / kStatusListSize; ++list)
      uris.emplace_back(uri_of(services_.settings.issuer, list));
  }
  json::Value out;
  out.set("status_lists", std::move(uris));
  http::Response response = http::json_response(200, json::write(out));
  response.headers.set("Cache-Control", "public, max-age=60");
  co_return open_to_all(std::move(response));
}

// A list that is being made, and who waits for it. Guarded by the lists' mutex until it is done.
struct StatusLists::Making {
  struct Waiter {
    std::coroutine_handle<> caller;
    Loop* loop;
  };
  bool is_done = false;
  bool is_fault = false;
  std::string token;
  std::vector<Waiter> waiters;
};

struct StatusLists::Waiting {
  std::mutex& mutex;
  Making& making;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) const {
    const std::lock_guard lock(mutex);
    if (making.is_done) return false;
    making.waiters.push_back({caller, Loop::current()});
    return true;
  }
  void await_resume() const noexcept {}
};

Task<http::Response> StatusLists::one(int64_t list) {
  const int64_t now = services_.clock.steady_microseconds() / 1000;
  // What another server has ended is asked for first, then what that makes old.
  co_await services_.store.revocations().caught_up();
  const int64_t newest = services_.store.revocations().newest();
  std::string token;
  std::shared_ptr<Making> making;
  bool is_ours = false;
  {
    const std::lock_guard lock(mutex_);
    if (made_.size() >= kMostLists)
      std::erase_if(made_, [](const auto& entry) { return entry.second.making == nullptr; });
    Made& made = made_[list];
    const int64_t age = now - made.at;
    const bool is_good =
        !made.token.empty() && (age < kShortest || (made.newest == newest && age < kLongest));
    // While a newer one is made, one that is not too old will do.
    if (is_good || (made.making != nullptr && !made.token.empty() && age < kLongest)) {
      token = made.token;
    } else {
      is_ours = made.making == nullptr;
      if (is_ours) made.making = std::make_shared<Making>();
      making = made.making;
    }
  }
  if (is_ours) {
    std::exception_ptr fault;
    try {
      token = co_await make(list, services_.clock.now());
    } catch (...) {
      fault = std::current_exception();
    }
    std::vector<Making::Waiter> waiters;
    {
      const std::lock_guard lock(mutex_);
      making->is_done = true;
      making->is_fault = fault != nullptr;
      making->token = token;
      waiters.swap(making->waiters);
      if (token.empty())
        made_.erase(list);
      else
        made_[list] = {.token = token, .newest = newest, .at = now, .making = nullptr};
    }
    for (const auto& [caller, loop] : waiters) {
      if (loop != nullptr)
        loop->post([caller = caller] { caller.resume(); });
      else
        caller.resume();
    }
    if (fault) std::rethrow_exception(fault);
  } else if (making != nullptr) {
    co_await Waiting{mutex_, *making};
    const std::lock_guard lock(mutex_);
    if (making->is_fault) co_return open_to_all(unavailable_response());
    token = making->token;
  }
  if (token.empty()) co_return open_to_all(plain_error(404, "not_found", "there is no such status list"));
  http::Response response;
  response.body = std::move(token);
  response.headers.set("Content-Type", kMediaType);
  response.headers.set("Cache-Control", "public, max-age=10");
  co_return open_to_all(std::move(response));
}

// Empty if no token that is still alive has a place in it.
Task<std::string> StatusLists::make(int64_t list, UnixTime now) {
  std::string bits(static_cast<size_t>(kStatusListSize / 8), '\0');
  bool has_any = false;
  // Numbers that anybody may make up cost one look.
  bool is_known = false;
  co_await services_.store.read([&](store::ReadTransaction& transaction) {
    const auto places = transaction.status_places();
    is_known = places && list >= places->first / kStatusListSize && list <= places->second / kStatusListSize;
  });
  if (!is_known) co_return std::string{};
  for (int64_t from = 0; from < kStatusListSize; from += kPiece) {
    const int64_t first = list * kStatusListSize + from;
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      for (const auto& node : transaction.list_status_places(first, first + kPiece, now)) {
        has_any = true;
        const auto position = static_cast<size_t>(node->status_place.value_or(0) % kStatusListSize);
        if (why_dead(transaction, *node, now).empty()) continue;
        bits[position / 8] =
            static_cast<char>(static_cast<unsigned char>(bits[position / 8]) | (1U << (position % 8)));
      }
    });
  }
  if (!has_any) co_return std::string{};
  std::string content;
  json::ObjectWriter(content).add("bits", int64_t{1}).add("lst", base64url(deflated(bits))).end();
  std::string claims;
  json::ObjectWriter(claims)
      .add("iss", services_.settings.issuer)
      .add("sub", uri_of(services_.settings.issuer, list))
      .add("iat", now.seconds())
      .add("exp", (now + kLife).seconds())
      .add("ttl", kTtl.count)
      .add_raw("status_list", content)
      .end();
  co_return crypto::sign_jwt(services_.keys.signing_key("ES256"), "statuslist+jwt", claims);
}

}  // namespace behalf::oauth
