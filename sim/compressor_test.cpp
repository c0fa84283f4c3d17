#include "sim/compressor.h"

#include <cmath>

#include <gtest/gtest.h>

namespace penstock::sim {
namespace {

const Timestamp kStart = *parse_rfc3339("2026-03-02T08:00:00Z");

struct Means {
  double pressure = 0, oil = 0, discharge = 0, vibration = 0, flow = 0, power = 0, loaded = 0;
};

Means run(Compressor& machine, int seconds) {
  Means m;
  for (int i = 0; i < seconds; ++i) {
    const auto r = machine.advance(Duration::seconds(1));
    m.pressure += r.discharge_pressure_bar / seconds;
    m.oil += r.oil_temperature_c / seconds;
    m.discharge += r.discharge_temperature_c / seconds;
    m.vibration += r.vibration_velocity_mm_s / seconds;
    m.flow += r.flow_m3_min / seconds;
    m.power += r.power_active_kw / seconds;
    m.loaded += (r.load_state ? 1.0 : 0.0) / seconds;
  }
  return m;
}

TEST(CompressorTest, RunsHealthilyForADayWithinItsBands) {
  Compressor machine({}, 1, kStart);
  bool was_loaded = false;
  int switches = 0;
  for (int i = 0; i < 86'400; ++i) {
    const auto r = machine.advance(Duration::seconds(1));
    ASSERT_GT(r.discharge_pressure_bar, 5.5);
    ASSERT_LT(r.discharge_pressure_bar, 8.0);
    ASSERT_GT(r.oil_temperature_c, 45);
    ASSERT_LT(r.oil_temperature_c, 90);
    ASSERT_LT(r.vibration_velocity_mm_s, 3.2);
    ASSERT_LT(r.power_active_kw, 100);
    switches += r.load_state != was_loaded;
    was_loaded = r.load_state;
  }
  EXPECT_GT(switches, 500);  // it cycles, not idles
}

TEST(CompressorTest, IsTheSameForTheSameSeed) {
  Compressor a({}, 7, kStart), b({}, 7, kStart), c({}, 8, kStart);
  bool differs = false;
  for (int i = 0; i < 600; ++i) {
    const auto ra = a.advance(Duration::seconds(1)), rb = b.advance(Duration::seconds(1));
    ASSERT_EQ(ra.discharge_pressure_bar, rb.discharge_pressure_bar);
    differs = differs ||
              ra.discharge_pressure_bar != c.advance(Duration::seconds(1)).discharge_pressure_bar;
  }
  EXPECT_TRUE(differs);
}

TEST(CompressorTest, EachFaultMovesItsOwnSensors) {
  const auto with = [](Fault fault) {
    Compressor machine({}, 3, kStart);
    machine.set_fault(fault, kStart, Duration::seconds(1), 1);
    run(machine, 1800);
    return run(machine, 1800);
  };
  const Means healthy = with(Fault::kNone), leak = with(Fault::kValveLeak),
              wear = with(Fault::kBearingWear), fouled = with(Fault::kFouledCooler);
  EXPECT_GT(leak.loaded, healthy.loaded * 1.2);  // works longer for the same air
  EXPECT_GT(leak.discharge - leak.oil, healthy.discharge - healthy.oil + 5);
  EXPECT_GT(wear.vibration, 7.1);  // ISO 10816-3 zone D
  EXPECT_LT(std::fabs(wear.flow - healthy.flow), 0.5);
  EXPECT_GT(fouled.oil, healthy.oil + 10);
  EXPECT_NEAR(fouled.vibration, healthy.vibration, 0.1);
}

}  // namespace
}  // namespace penstock::sim
