// The JSON body of a request, read strictly: one media type, no member twice (base/json.h).
#pragma once

#include "base/json.h"
#include "http/message.h"
#include "oauth/error.h"

namespace behalf::oauth {

Answer<json::Value> read_json(const http::Request& request);

}  // namespace behalf::oauth
