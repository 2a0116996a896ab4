// Finds the access token of a request (RFC 6750 §2.1): in one Authorization header, and nowhere else.
#pragma once

#include <string_view>
#include <vector>

#include "behalf/export.h"

namespace behalf::sdk {

struct BearerToken {
  enum class Status {
    kPresent,
    kNone,       // no Authorization header, or one of another scheme: Challenger::token_missing
    kMalformed,  // two headers, a list, an empty token, strange characters: Challenger::invalid_request
  };
  Status status = Status::kNone;
  std::string_view token;  // into the header's value
};

// `authorization`: the value of every Authorization header the request has, in order.
// `query`: the raw query. A token there (RFC 6750 §2.3) would stand in every log on the way: kMalformed.
BEHALF_PUBLIC BearerToken read_bearer(const std::vector<std::string_view>& authorization,
                                      std::string_view query = {});

}  // namespace behalf::sdk
