"""GLSL of the renderer. Colours are linear until `develop`; the world is Z up; one unit is one metre."""

from __future__ import annotations

_COMMON = """#version 330
uniform vec3 irradiance[9];
uniform vec3 sun_direction;
uniform vec3 sun_color;
uniform mat4 shadow_from_world;
uniform float shadow_softness;
uniform float exposure;
uniform sampler2D shadow_map;

vec3 ambient_light(vec3 n) {
    vec3 light = irradiance[0] * 0.282095 + 0.488603 * (irradiance[1] * n.y + irradiance[2] * n.z + irradiance[3] * n.x)
        + 1.092548 * (irradiance[4] * n.x * n.y + irradiance[5] * n.y * n.z + irradiance[7] * n.x * n.z)
        + irradiance[6] * 0.315392 * (3.0 * n.z * n.z - 1.0) + irradiance[8] * 0.546274 * (n.x * n.x - n.y * n.y);
    return max(light, vec3(0.02));
}

float sun_reaches(vec3 world, float bias) {
    vec3 s = (shadow_from_world * vec4(world, 1.0)).xyz * 0.5 + 0.5;
    if (any(lessThan(s, vec3(0.0))) || any(greaterThan(s, vec3(1.0)))) return 1.0;
    float lit = 0.0;
    for (int i = 0; i < 8; i++) {
        float a = 2.4 * float(i) + 0.7;
        vec2 tap = vec2(cos(a), sin(a)) * sqrt((float(i) + 0.5) / 8.0) * shadow_softness;
        lit += step(s.z - bias, texture(shadow_map, s.xy + tap).r);
    }
    return lit / 8.0;
}

float hash(vec3 p) { return fract(sin(dot(p, vec3(12.9898, 78.233, 37.719))) * 43758.5453); }

float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    float low = mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x),
                    mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y);
    float high = mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x),
                     mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y);
    return mix(low, high, f.z);
}

vec3 develop(vec3 light) {
    vec3 c = light * exposure;
    c = c * (1.0 + c * 0.12) / (1.0 + c * 0.85);
    return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
}
"""

SKIN_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in uvec4 bones; in vec4 weights;
uniform mat4 clip_from_world;
layout(std140) uniform Bones { mat3x4 bone[128]; };
out vec3 world_position; out vec3 world_normal; out vec3 rest_position; out vec2 texture_uv;
void main() {
    mat3x4 m = weights.x * bone[bones.x] + weights.y * bone[bones.y]
        + weights.z * bone[bones.z] + weights.w * bone[bones.w];
    world_position = vec4(position, 1.0) * m;
    world_normal = vec4(normal, 0.0) * m;
    rest_position = position;
    texture_uv = uv;
    gl_Position = clip_from_world * vec4(world_position, 1.0);
}
"""

SHADOW_VERTEX = """#version 330
in vec3 position; in uvec4 bones; in vec4 weights;
uniform mat4 clip_from_world;
layout(std140) uniform Bones { mat3x4 bone[128]; };
void main() {
    mat3x4 m = weights.x * bone[bones.x] + weights.y * bone[bones.y]
        + weights.z * bone[bones.z] + weights.w * bone[bones.w];
    gl_Position = clip_from_world * vec4(vec4(position, 1.0) * m, 1.0);
}
"""

SHADOW_FRAGMENT = "#version 330\nvoid main() {}\n"

SKIN_FRAGMENT = (
    _COMMON
    + """
in vec3 world_position; in vec3 world_normal; in vec3 rest_position; in vec2 texture_uv;
uniform sampler2D diffuse;
uniform vec3 tint_low; uniform vec3 tint_high; uniform float waist; uniform float grey;
uniform int pattern; uniform vec3 pattern_color; uniform float pattern_rate;
uniform float gloss; uniform bool cut_out; uniform vec3 eye; uniform float person;
out vec4 color;

float pattern_weight() {
    vec3 p = rest_position * pattern_rate;
    if (pattern == 1) return step(0.5, fract(p.z));
    if (pattern == 2) return 0.5 * (step(0.6, fract(p.x)) + step(0.6, fract(p.z)));
    return smoothstep(0.5, 0.62, noise(p));
}

void main() {
    vec4 texel = texture(diffuse, texture_uv);
    if (cut_out && texel.a < 0.45) discard;
    vec3 albedo = pow(texel.rgb, vec3(2.2));
    albedo = mix(albedo, vec3(dot(albedo, vec3(0.3, 0.6, 0.1))), grey);
    vec3 tint = mix(tint_low, tint_high, smoothstep(waist - 0.005, waist + 0.005, rest_position.z));
    if (pattern > 0) tint = mix(tint, pattern_color, pattern_weight());
    albedo = min(albedo * tint, vec3(0.95));
    vec3 n = normalize(world_normal), v = normalize(eye - world_position);
    if (dot(n, v) < 0.0) n = -n;
    float facing = dot(n, sun_direction);
    float sun = facing > 0.0 ? facing * sun_reaches(world_position, 0.008 + 0.012 * (1.0 - facing)) : 0.0;
    float shine = pow(max(dot(n, normalize(v + sun_direction)), 0.0), 24.0) * step(0.0, facing);
    float rim = pow(1.0 - max(dot(n, v), 0.0), 4.0);
    vec3 light = albedo * (ambient_light(n) + sun_color * sun);
    light += gloss * (sun_color * shine * sun * 4.0 + ambient_light(reflect(-v, n)) * (0.15 + 0.85 * rim));
    color = vec4(develop(light), person);
}
"""
)

BACKDROP_VERTEX = """#version 330
in vec2 corner;
out vec2 place;
void main() { place = corner; gl_Position = vec4(corner, 0.0, 1.0); }
"""

BACKDROP_FRAGMENT = (
    _COMMON
    + """
in vec2 place;
uniform sampler2D panorama;
uniform mat3 world_ray_from_clip; uniform vec3 eye; uniform vec3 forward;
uniform float panorama_yaw; uniform float panorama_gain;
uniform int floor_kind; uniform vec3 floor_a; uniform vec3 floor_b; uniform float floor_rate; uniform float floor_angle;
uniform bool room; uniform vec4 room_walls; uniform float room_height; uniform vec3 wall_a; uniform vec3 wall_b;
uniform float wall_rate; uniform bool shadow_catcher; uniform vec2 person_place;
out vec4 color;
const float PI = 3.14159265;

vec3 panorama_light(vec3 d) {
    // a gain above 1 shows more of the image than the lens would: a photograph hung behind the person
    vec3 wide = normalize(forward + (d / max(dot(d, forward), 0.05) - forward) * panorama_gain);
    float longitude = atan(wide.x, wide.y) + panorama_yaw, latitude = asin(clamp(wide.z, -1.0, 1.0));
    return texture(panorama, vec2(fract(longitude / (2.0 * PI) + 0.5), 0.5 - latitude / PI)).rgb;
}

vec3 surface_albedo(int kind, vec2 p, vec3 a, vec3 b, float rate) {
    vec2 q = p * rate;
    float fine = 0.75 + 0.5 * noise(vec3(p * 90.0, 1.0)) * noise(vec3(p * 7.0, 2.0));
    if (kind == 1) return mix(a, b, mod(floor(q.x) + floor(q.y), 2.0)) * fine;
    if (kind == 2) {  // planks
        float row = floor(q.y), along = q.x * 0.15 + hash(vec3(row, 0.0, 3.0));
        float tone = hash(vec3(floor(along), row, 5.0)), grain = noise(vec3(q.x * 1.5, q.y * 14.0, row));
        float seam = smoothstep(0.0, 0.04, fract(q.y)) * smoothstep(0.0, 0.006, fract(along));
        return mix(a, b, 0.6 * tone + 0.4 * grain) * (0.35 + 0.65 * seam) * fine;
    }
    if (kind == 3) {  // tiles with joints
        vec2 f = fract(q);
        float joint = step(0.03, f.x) * step(0.03, f.y);
        return mix(b * 0.4, mix(a, b, 0.35 * hash(vec3(floor(q), 1.0))), joint) * fine;
    }
    if (kind == 4) return mix(a, b, step(0.92, max(fract(q.x * 0.25), fract(q.y * 0.25)))) * fine;  // court lines
    float cloud = 0.5 * noise(vec3(q, 0.0)) + 0.3 * noise(vec3(q * 3.1, 4.0)) + 0.2 * noise(vec3(q * 11.0, 8.0));
    return mix(a, b, cloud) * fine;
}

void main() {
    vec3 d = normalize(world_ray_from_clip * vec3(place, 1.0));
    vec3 light = panorama_light(d);
    float below = d.z < -1e-4 ? -eye.z / d.z : 1e9;
    vec3 ground = eye + d * below;
    bool on_ground = below > 0.0 && below < 1e8;
    if (room) {
        vec2 walls = mix(room_walls.xy, room_walls.zw, step(0.0, d.xy));
        vec2 to_wall = (walls - eye.xy) / (abs(d.xy) + 1e-6) * sign(d.xy + 1e-9);
        bool along_x = to_wall.x < to_wall.y;
        float wall = min(to_wall.x, to_wall.y), ceiling = d.z > 1e-4 ? (room_height - eye.z) / d.z : 1e9;
        if (min(wall, ceiling) < below) {
            vec3 p = eye + d * min(wall, ceiling);
            bool above = ceiling < wall;
            vec3 n = above ? vec3(0, 0, -1) : along_x ? vec3(-sign(d.x), 0, 0) : vec3(0, -sign(d.y), 0);
            vec2 q = along_x ? p.yz : p.xz;
            vec3 paint = mix(wall_a, wall_b, 0.3 * noise(vec3(q * 2.0, 3.0)));
            vec3 albedo = above ? vec3(0.8) : p.z < 0.1 ? wall_b : paint;
            // framed images and doors: pieces of the panorama hung in a grid
            vec2 cell = floor(q * wall_rate), f = fract(q * wall_rate);
            bool inside = all(greaterThan(f, vec2(0.15))) && all(lessThan(f, vec2(0.85)));
            bool framed = !above && inside && hash(vec3(cell, 9.0)) > 0.55;
            light = framed ? texture(panorama, fract(cell * 0.37 + f * 0.12)).rgb * 0.5 : albedo * ambient_light(n);
            on_ground = false;
        }
    }
    if (on_ground && (floor_kind > 0 || shadow_catcher)) {
        float sun = max(sun_direction.z, 0.0) * sun_reaches(ground, 0.01);
        float feet = smoothstep(0.0, 0.8, length(ground.xy - person_place));
        vec3 open = ambient_light(vec3(0, 0, 1)) + sun_color * max(sun_direction.z, 0.0);
        vec3 here = ambient_light(vec3(0, 0, 1)) * mix(0.65, 1.0, feet) + sun_color * sun;
        if (floor_kind > 0) {
            mat2 turn = mat2(cos(floor_angle), sin(floor_angle), -sin(floor_angle), cos(floor_angle));
            vec3 albedo = surface_albedo(floor_kind, turn * ground.xy, floor_a, floor_b, floor_rate);
            light = mix(albedo * here, light, room ? 0.0 : smoothstep(12.0, 40.0, below));
        } else {
            light *= here / open;
        }
    }
    color = vec4(develop(light), 0.0);
}
"""
)

COPY_FRAGMENT = """#version 330
in vec2 place;
uniform sampler2D image;
out vec4 color;
void main() { color = vec4(texture(image, place * 0.5 + 0.5).rgb, 0.0); }
"""
