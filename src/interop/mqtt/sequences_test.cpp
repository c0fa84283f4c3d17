// The conversations of ../shared/data/mqtt_sequences, spoken with the broker in memory. The same
// against the real server: tests/mqtt_sequences.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "interop/mqtt/test_client.h"

namespace penstock::interop::mqtt {
namespace {

using nlohmann::json;

std::filesystem::path data_folder() {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  const std::filesystem::path root =
      shared ? std::filesystem::path(shared)
             : std::filesystem::path(PENSTOCK_SOURCE_DIR) / ".." / "shared";
  return root / "data" / "mqtt_sequences";
}

/// Takes one packet off the front.
Bytes next_packet(Bytes& stream) {
  const FrameResult frame = read_frame(stream, SIZE_MAX);
  const size_t size = frame.kind == FrameResult::Kind::kFrame ? frame.frame.size : stream.size();
  Bytes out(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(size));
  stream.erase(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(size));
  return out;
}

/// One case; empty if it agrees, else what differs.
std::string run_case(MemoryWorld& world, const json& test) {
  const int version = test.value("ver", 4);
  const auto peer = world.open("conformance");
  Bytes stream;
  const auto take = [&] {
    world.settle();
    append_bytes(stream, world.take(peer));
  };
  if (test.value("connect", true)) {
    world.send(peer, unhex(version == 5   ? "10 10 0004 4D515454 05 02 003C 00 0003 747374"
                           : version == 3 ? "10 11 0006 4D5149736470 03 02 003C 0003 747374"
                                          : "10 0F 0004 4D515454 04 02 003C 0003 747374"));
    take();
    const Bytes connack = next_packet(stream);
    if (connack.size() < 4 || connack[3] != std::byte{0}) return "no CONNACK: " + hex(connack);
  }
  for (const auto& message : test["msgs"]) {
    const auto type = message["type"].get<std::string>();
    if (type == "send") {
      world.send(peer, unhex(message["payload"].get_ref<const std::string&>()));
    } else if (type == "publish") {
      const auto helper = world.open("helper");
      Bytes connect = unhex("10 0F 0004 4D515454 04 02 003C 0003 686c70");
      PublishHeader header;
      header.topic = message["topic"].get_ref<const std::string&>();
      header.qos = message.value("qos", uint8_t{0});
      header.packet_id = 1;
      encode_publish(connect, header, {},
                     as_bytes(message["payload"].get_ref<const std::string&>()));
      world.send(helper, connect);
      world.settle();
      world.cut(helper);
    } else {
      take();
      const Bytes got = next_packet(stream),
                  want = unhex(message["payload"].get_ref<const std::string&>());
      const bool connack = !want.empty() && want[0] == std::byte{0x20};
      const bool same = connack ? got.size() >= 4 && got[0] == want[0] && got[3] == [&] {
        return want.size() > 3 ? want[3] : std::byte{0};
      }()
                                : got == want;
      if (!same) return "received " + hex(got) + ", expected " + hex(want);
    }
  }
  take();
  std::string wrong;
  if (test.value("expect_disconnect", true)) {
    if (!world.closed(peer)) wrong = "still connected";
    if (wrong.empty() && !stream.empty()) wrong = "also received " + hex(stream);
  } else {
    world.send(peer, unhex("C0 00"));
    take();
    const Bytes pong = next_packet(stream);
    if (hex(pong) != "d000") wrong = "no PINGRESP but " + hex(pong);
  }
  world.cut(peer);
  return wrong;
}

class MqttSequences : public testing::TestWithParam<uint32_t> {};

TEST_P(MqttSequences, AgreeWithEveryConversation) {
  const auto folder = data_folder();
  if (!std::filesystem::is_directory(folder)) {
    GTEST_SKIP() << folder << " is not there; set PENSTOCK_SHARED";
  }
  size_t cases = 0, agree = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    for (const auto& group : json::parse(in)) {
      MemoryWorld world(GetParam());
      for (const auto& test : group["tests"]) {
        ++cases;
        const std::string wrong = run_case(world, test);
        agree += wrong.empty() ? 1 : 0;
        EXPECT_EQ(wrong, "") << entry.path().filename() << " / "
                             << group["group"].get<std::string>() << " / "
                             << test["name"].get<std::string>();
      }
    }
  }
  EXPECT_GT(cases, 0U);
  EXPECT_EQ(agree, cases);
}
INSTANTIATE_TEST_SUITE_P(Shards, MqttSequences, testing::Values(1U, 3U));

}  // namespace
}  // namespace penstock::interop::mqtt
