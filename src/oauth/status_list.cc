#include "oauth/status_list.h"

#include <zlib.h>

#include <charconv>
#include <stdexcept>

#include "base/bytes.h"
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

// RFC 9110 §12.5.1, as far as one media type needs it; absent means anything.
bool accepts_list(const http::Request& request) {
  const std::string* accept = request.headers.find("Accept");
  if (accept == nullptr) return true;
  std::string_view rest = *accept;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    std::string_view range = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    range = range.substr(0, range.find(';'));
    while (!range.empty() && range.front() == ' ') range.remove_prefix(1);
    while (!range.empty() && range.back() == ' ') range.remove_suffix(1);
    if (range == "*/*" || range == "application/*" || range == kMediaType) return true;
  }
  return false;
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

Task<http::Response> StatusLists::one(int64_t list) {
  const int64_t now = services_.clock.steady_microseconds() / 1000;
  // What another server has ended is asked for first, then what that makes old.
  co_await services_.store.revocations().caught_up();
  const int64_t newest = services_.store.revocations().newest();
  std::string token;
  bool must_make = false;
  {
    const std::lock_guard lock(mutex_);
    if (made_.size() >= kMostLists)
      std::erase_if(made_, [](const auto& entry) { return !entry.second.is_being_made; });
    Made& made = made_[list];
    const int64_t age = now - made.at;
    const bool is_good =
        !made.token.empty() && (age < kShortest || (made.newest == newest && age < kLongest));
    token = made.token;
    must_make = !is_good && !made.is_being_made;
    if (must_make) made.is_being_made = true;
    if (!is_good && !must_make && age >= kLongest) token.clear();
  }
  if (must_make) {
    std::exception_ptr fault;
    try {
      token = co_await make(list, services_.clock.now());
    } catch (...) {
      fault = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    if (fault || token.empty()) {
      made_.erase(list);
      if (fault) std::rethrow_exception(fault);
      co_return open_to_all(plain_error(404, "not_found", "there is no such status list"));
    }
    made_[list] = {.token = token, .newest = newest, .at = now, .is_being_made = false};
  }
  if (token.empty()) co_return open_to_all(unavailable_response());
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
