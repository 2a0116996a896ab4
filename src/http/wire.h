// One connection as bytes in both directions, plain or TLS: what has arrived and was not looked at yet, and
// sending with as few waits as possible. Used at both ends: by the server towards its clients, and by the
// relay towards an origin. For the .cc files of http/ and nobody else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/asio.h"
#include "http/tls.h"

namespace behalf::http {

class Wire {
 public:
  static constexpr size_t kInputBytes = 4 * 1024;
  static constexpr size_t kIdleBytes = 16 * 1024;  // what an idle connection may keep of its buffers

  explicit Wire(Socket connected) : socket(std::move(connected)) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  std::string_view received() const { return {input_.data() + begin_, end_ - begin_}; }
  void consume(size_t count) { begin_ += count; }

  // Both ends; false: it failed or was cut. The TLS stream must be in place.
  Awaitable<bool> shake_hands();
  // Reads what there is behind what is already here, into room for at least `room` bytes if nothing is;
  // false: the connection is closed, broken or cancelled.
  Awaitable<bool> fill(size_t room = kInputBytes);
  // The two halves of it, for whoever waits at the plain socket itself: nearly all connections do nothing
  // else most of the time, and each coroutine between them and the socket is memory to be fetched when
  // something arrives.
  asio::mutable_buffer room_to_read(size_t room = kInputBytes);
  void took(size_t count);
  // Sends as much as the socket takes and shortens `bytes` by it; false if the connection is gone.
  bool send_now(std::string_view& bytes);
  Awaitable<bool> send(std::string_view bytes);
  // Reads and drops at most `most` bytes that are still on their way: the caller has said all it will say.
  Awaitable<void> drain(size_t most);

  // Wakes whatever waits here. The descriptor stays open until its owner ends, so that its number is not
  // taken by another connection while somebody still means this one.
  void cut();
  // What is on the way is lost, at this end and the other: nothing that was cut short may look complete, and
  // the kernel holds nothing for a peer that does not read.
  void reset();
  // Ends the sending direction; what the peer still sends can be read.
  void finish();
  // True if the peer will send nothing more, whatever of it has not been read yet.
  bool peer_left();
  // True if nothing has arrived and the peer is still there: an idle connection that can be used again.
  bool is_quiet();
  // Between two requests: keeps little, and nothing of what was read.
  void release_memory();

  Socket socket;
  std::optional<TlsStream> tls;  // after the socket: goes first

 private:
  void make_room(size_t room);

  std::vector<char> input_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t used_ = 0;  // nothing was ever read behind this since it was last wiped
};

}  // namespace behalf::http
