#include "oauth/json_body.h"

#include <algorithm>

namespace behalf::oauth {

Answer<json::Value> read_json(const http::Request& request) {
  const std::string* type = request.headers.find("Content-Type");
  std::string media = type == nullptr ? std::string{} : type->substr(0, type->find(';'));
  while (media.ends_with(' ')) media.pop_back();
  std::transform(media.begin(), media.end(), media.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (media != "application/json" || request.headers.count("Content-Type") != 1)
    return refuse(ErrorCode::kInvalidRequest, "the body must be application/json", "content_type");
  auto value = json::parse(request.body);
  if (!value)
    return refuse(ErrorCode::kInvalidRequest, "the body is no JSON, or has a member twice", "malformed_json");
  if (value->object() == nullptr)
    return refuse(ErrorCode::kInvalidRequest, "the body must be a JSON object", "malformed_json");
  return std::move(*value);
}

}  // namespace behalf::oauth
