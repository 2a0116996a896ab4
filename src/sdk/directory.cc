#include "sdk/directory.h"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/json.h"
#include "sdk/endpoint.h"

namespace behalf::sdk {
namespace {

constexpr Seconds kPatience{5};
constexpr std::chrono::seconds kPause{10};
constexpr std::chrono::seconds kRetry{2};
constexpr size_t kMaxBytes = 16 * 1024 * 1024;

std::string directory_url(std::string issuer) {
  if (issuer.ends_with('/')) issuer.pop_back();
  return issuer + "/directory";
}

std::shared_ptr<const AgentInfo> read_agent(const json::Value& entry) {
  auto agent = std::make_shared<AgentInfo>();
  agent->id = text_of(entry, "id");
  agent->name = text_of(entry, "name");
  agent->publisher = text_of(entry, "publisher");
  agent->owner = text_of(entry, "owner");
  agent->status = text_of(entry, "status");
  return agent;
}

}  // namespace

Directory::~Directory() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::shared_ptr<const AgentInfo> Directory::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = agents_->find(id);
  return found == agents_->end() ? nullptr : found->second;
}

void Directory::renew() {
  const std::lock_guard lock(mutex_);
  is_wanted_ = true;
  changed_.notify_all();
}

std::string Directory::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Directory::fetch() {
  const std::string url = directory_url(access_.account().issuer);
  http::Client client = access_.connect(url, kPatience, &interrupt_);
  http::ClientRequest request;
  request.path_and_query = http::parse_url(url).path_and_query;
  if (!tag_.empty()) request.headers.add("If-None-Match", tag_);
  const http::Response response = access_.send(client, request);
  if (response.status == 304) return;
  if (response.status != 200) {
    throw std::runtime_error("the directory answers " + std::to_string(response.status));
  }
  const auto body = json::parse(response.body, {.bytes = kMaxBytes, .depth = 8});
  const json::Value* list = body ? body->find("agents") : nullptr;
  if (list == nullptr || list->array() == nullptr) throw std::runtime_error("the directory is not readable");
  auto agents = std::make_shared<Agents>();
  for (const json::Value& entry : *list->array()) {
    std::shared_ptr<const AgentInfo> agent = read_agent(entry);
    std::string id = agent->id;
    agents->insert_or_assign(std::move(id), std::move(agent));
  }
  const std::string* tag = response.headers.find("ETag");
  tag_ = tag == nullptr ? std::string() : *tag;
  const std::lock_guard lock(mutex_);
  agents_ = std::move(agents);
}

void Directory::run() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      is_wanted_ = false;
    }
    std::string trouble;
    try {
      fetch();
    } catch (const std::exception& fault) {
      trouble = fault.what();
    }
    std::unique_lock lock(mutex_);
    trouble_ = std::move(trouble);
    changed_.wait_for(lock, trouble_.empty() ? kPause : kRetry,
                      [&] { return is_stopping_ || (is_wanted_ && trouble_.empty()); });
    if (is_stopping_) return;
  }
}

}  // namespace behalf::sdk
