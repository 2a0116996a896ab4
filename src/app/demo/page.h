// The demo's app for a browser: one page with a button that starts the real flow with PKCE, takes the answer
// back, redeems the code with the agent's proof, calls the API, and shows the token and what the API saw.
// Where the API says that another token would help, it asks for one, but not for ever.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "app/demo/world.h"
#include "http/server.h"

namespace behalf::app {

class DemoPage {
 public:
  DemoPage(const World& world, uint16_t preferred_port);
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

 private:
  // One flow that is under way; found again by its state, which the browser's cookie must also hold.
  struct Flow {
    std::string verifier;
    std::string agent;  // the one the person is asked about
    std::string proof;  // the one that proves itself afterwards; another one is the attack
    std::string scope;
    int restarts = 0;  // because the API refused what came of it
  };
  http::Response answer(const http::Request& request);
  http::Response home() const;
  http::Response start(const http::Form& query);
  // Sends the browser to the server with that question.
  http::Response ask(Flow flow);
  http::Response finish(const http::Request& request, const http::Form& query);
  http::Response call_api(Flow flow, const std::string& token);
  // Whether a refusal of the API's says that a new token helps, and is to be believed.
  bool is_worth_asking_again(const http::Response& refusal) const;

  const World& world_;
  std::mutex mutex_;
  std::map<std::string, Flow> flows_;     // guarded by mutex_
  std::unique_ptr<http::Server> server_;  // last: its threads use the rest
};

}  // namespace behalf::app
