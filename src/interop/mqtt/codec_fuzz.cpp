// Whatever bytes come over the wire, in whatever pieces: the broker never falls over, what it
// answers is well formed, and its sessions can be written and read again.
//
// Input: u8 mode (bit 0: the peer is connected already; bit 1: with 5.0; bit 2: its session stays;
// bit 3: the bytes come over WebSocket), u8 size of a piece (0: all at once), then the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "interop/mqtt/client_codec.h"
#include "interop/mqtt/test_client.h"
#include "interop/mqtt/websocket.h"

using namespace penstock;
using namespace penstock::interop::mqtt;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

void check_answers(ByteView answers) {
  while (!answers.empty()) {
    const FrameResult next = read_frame(answers, SIZE_MAX);
    require(next.kind == FrameResult::Kind::kFrame);
    answers = answers.subspan(next.frame.size);
  }
}

// What a bridge's broker may send: the client's half of the codec.
void check_answers_of_a_server(ByteView bytes, uint8_t version) {
  const FrameResult next = read_frame(bytes, 1 << 20);
  if (next.kind != FrameResult::Kind::kFrame) return;
  Connack connack;
  Suback suback;
  if (next.frame.type == PacketType::kConnack)
    (void)decode_connack(next.frame, version, connack);
  else if (next.frame.type == PacketType::kSuback &&
           decode_suback(next.frame, version, suback) == Reason::kSuccess)
    require(!suback.reasons.empty());
}

void check_frames(ByteView bytes, uint8_t version) {
  const FrameResult next = read_frame(bytes, 1 << 20);
  if (next.kind != FrameResult::Kind::kFrame) return;
  Publish publish;
  if (next.frame.type == PacketType::kPublish &&
      decode_publish(next.frame, version, publish) == Reason::kSuccess) {
    Properties again;
    require(decode_publish_properties(publish.raw_properties, again) == Reason::kSuccess);
    Bytes out;
    encode_publish(
        out, {version, publish.dup, publish.retain, publish.qos, publish.packet_id, publish.topic},
        publish.properties, publish.payload);
    require(out.size() == publish_size({version, publish.dup, publish.retain, publish.qos,
                                        publish.packet_id, publish.topic},
                                       publish.properties, publish.payload));
    Publish second;
    const FrameResult framed = read_frame(out, SIZE_MAX);
    require(framed.kind == FrameResult::Kind::kFrame &&
            decode_publish(framed.frame, version, second) == Reason::kSuccess &&
            second.topic == publish.topic && second.packet_id == publish.packet_id &&
            std::equal(second.payload.begin(), second.payload.end(), publish.payload.begin(),
                       publish.payload.end()));
  }
  (void)peek_connect(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t mode = data[0];
  const size_t piece = data[1] == 0 ? size : data[1];
  const uint8_t version = (mode & 2) != 0 ? 5 : 4;
  ByteView input = std::as_bytes(std::span(data + 2, size - 2));
  check_frames(input, version);
  check_answers_of_a_server(input, version);

  MemoryWorld world(1);
  TestClient watcher(world, "watcher");
  watcher.subscribe("#", 1);
  const auto peer = world.open("x");
  if ((mode & 1) != 0) {
    const bool stays = (mode & 4) != 0;
    Bytes connect = unhex(version == 5 ? "1013 00044D51545405 02 003C 05 1100000000 000178"
                                       : "100D 00044D51545404 02 003C 000178");
    if (stays) connect[9] = std::byte{0};
    if (stays && version == 5) connect[17] = std::byte{100};
    world.send(peer, connect);
    world.settle();
  }
  WebSocket websocket;
  while (!input.empty()) {
    const ByteView now = input.first(std::min(piece, input.size()));
    input = input.subspan(now.size());
    if ((mode & 8) != 0) {
      Bytes payload, reply;
      const Status status = websocket.on_bytes(now, payload, reply);
      world.send(peer, payload);
      if (!status) break;
    } else {
      world.send(peer, now);
    }
    if ((mode & 16) != 0) world.settle();
  }
  world.settle();
  check_answers(world.take(peer));
  world.advance(Duration::seconds(2));
  Bytes section;
  world.shard(0).broker->snapshot(section);
  MemoryWorld other(1);
  require(other.shard(0).broker->restore(section, 0).has_value());
  world.crash(1);
  return 0;
}
