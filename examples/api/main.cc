// A mail API that agents may call. Who stands behind a request, what policy allows them, and what has been
// revoked since their token was issued: all decided here, without asking the authorization server.
//   example-api ISSUER CLIENT_ID CLIENT_SECRET RESOURCE POLICY_FILE PORT
#include <behalf/behalf.h>
#include <microhttpd.h>
#include <strings.h>
#include <unistd.h>

#include <iostream>

using namespace behalf::sdk;

struct Api {
  char** words;
  std::shared_ptr<const Policy> policy;
  KeySource keys{{words[1]}};
  Revocations revocations{};  // knowledge older than 15 s lets nobody in
  Verifier verifier{{words[1], {words[4]}}, keys, &revocations};
  Feed feed{{words[1], words[2], words[3]}, revocations, keys};
  Policy::Counters counters{};
  Challenger challenger{std::string(words[4]) + "/.well-known/oauth-protected-resource"};
};

MHD_Result answer(MHD_Connection* connection, const Challenge& it) {
  char* const body = const_cast<char*>(it.body.data());
  MHD_Response* response = MHD_create_response_from_buffer(it.body.size(), body, MHD_RESPMEM_MUST_COPY);
  // Where there is no challenge, there is no such header: libmicrohttpd adds none that is empty.
  MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, it.www_authenticate.c_str());
  const MHD_Result sent = MHD_queue_response(connection, static_cast<unsigned>(it.status), response);
  MHD_destroy_response(response);
  return sent;
}

MHD_Result collect(void* headers, MHD_ValueKind, const char* name, const char* value) {
  auto& list = *static_cast<std::vector<std::string_view>*>(headers);
  if (strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0) list.push_back(value);
  return MHD_YES;
}

MHD_Result serve(void* self, MHD_Connection* connection, const char* path, const char* method, const char*,
                 const char*, size_t*, void**) {
  Api& api = *static_cast<Api*>(self);
  std::vector<std::string_view> headers;
  MHD_get_connection_values(connection, MHD_HEADER_KIND, collect, &headers);
  const char* in_query = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "access_token");
  const BearerToken bearer = read_bearer(headers, in_query ? "access_token" : "");
  const bool malformed = bearer.status == BearerToken::Status::kMalformed;
  if (malformed) return answer(connection, api.challenger.invalid_request("send one Authorization header"));
  const bool has_token = bearer.status == BearerToken::Status::kPresent;
  const Verdict verdict = has_token ? api.verifier.verify(bearer.token) : Verdict();
  if (has_token && !verdict) return answer(connection, api.challenger.refused(verdict.refusal));
  const Delegation* who = verdict.delegation.get();  // null: no token, and policy says whether that will do
  const auto agents = [&](std::string_view id) { return api.feed.agent(id); };
  const Decision decision = api.policy->decide({method, path}, who, system_now(), agents, &api.counters);
  if (!decision.allowed()) return answer(connection, api.challenger.answer(decision));
  const std::string person = who ? who->subject : "nobody";
  const std::string reader = who && who->actor() ? who->actor()->subject : "themselves";
  return answer(connection, {200, "", "mail of " + person + ", read by " + reader + "\n"});
}

int main(int count, char** words) {
  std::vector<Policy::Fault> faults;
  const auto policy = count == 7 ? Policy::load(words[5], faults) : nullptr;
  for (const Policy::Fault& fault : faults) std::cerr << fault.text << "\n";
  if (!policy) return 1;
  Api api{words, policy};
  const auto port = static_cast<uint16_t>(std::stoi(words[6]));
  const unsigned threads = MHD_USE_INTERNAL_POLLING_THREAD;
  return MHD_start_daemon(threads, port, nullptr, nullptr, serve, &api, MHD_OPTION_END) ? pause() : 1;
}
