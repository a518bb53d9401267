"""What brokers of four versions answered when they were asked for their facts, in a topology with a bit of everything.

Queues `tasks` (classic, at most 50, dead-letters to `dead`; 55 were published), `dead` (at most 2, refuses more), `q` (quorum, dead-letters
to `dead`; from 3.10 on at least once, after 10 ms), `q2` (quorum), `s` (stream, from 3.10 on), and one with an unusual name. Exchange `x` with a
binding to `tasks`, one to exchange `y`, which is its alternate too. The client chaos-1f2e3d-0/worker-1.1 consumes from `tasks` and `q2` with a
prefetch of 3, and one without a name from `tasks` with 2. A policy on 3.10.8 and an operator policy on 4.3.6 allow `tasks` 20 messages.
"""

ANSWERS = {
    "3.8.9": (
        '["g1AAAAZfeJy9VE2O0zAYdZJm2sKIxYCQ2FXMDslhkhmm0iwQp0BCQho5sdM4Se3WcWh6DS7AijUXYDcX4gjYcVqS/qUrlIUdf8'
        "+f3/v8PifDHADgJqO5GgaYIIzBK4HCkMrHKEdFQaPHZUlKgsFAipJotJ04Gn1ZwTmqYE7YTCYYjAs6YwRTJlEDeFZB/o2IOOcrDI"
        "Y5Z7NCCh14IUhKIgkXZZjTIklTlZxxRpohGSIbAf1hMDJcPqkDhqJkjLJZw8RQtpYYvGz4LksuyvkeXWdLt45AuV6QLp8Ls9PgXl"
        "dQl0HpkpIISKooQWy2swMY7JsuVvBSKoIwI+suvC7sAZnuSZnDkmWMr5hRai+DXqnWuVIPcBkgR3GxzuLiSlRkRb9TnD6nBP+/5r"
        "Cuut1vrasVeUsF/jp5+s2efk3+/Pj+87TiA4eBfh+nulDjpmPQfOlhKlRzYHCxmYxLhklMVd4WKkZMKVeozWQXBU5ksCqs7pAvaF"
        "T/rc3qlc5reKqJFCgiG9h+irEGz5GMtKJElZqIYh/1XKO20eO4Oltz0rETrfVBtal5klyjq+1Ot74cveIg713Lj06IhKp+yHm+uX"
        "GzHnPesWfTT5bUrFCYt5vMQl1omrY5aLKjjY/r3Jl3nRqutYtVhBfQjwNyi+HN+xUXmXKz7/k6eu1PA8+fejee/3B3d38bTODHyX"
        'YtePhwPw1SI8j+p/jcnWaPek9OE9lNfRxpdFlJu6nC7PLzl/QvUl/TpA=="]'
    ),
    "3.10.8": (
        '["g1AAAAuxeJzVVcuO0zAUdfruPFgMIyQ2qGKABShl0oEpmgXiL9ggRU7sJk4Tu7Ud2v4AH8APwIY1P8BufohPwI7TRzpN2xkxSK'
        "gLu/bxzbnnnmuHzRgA0AhbiRpqCEOEwCmHnkek68dQCOK74xSnGIGa5CnW6EpY1eijqZ3AqR1jGsgQgbYgAcWIUAlzwMHUZp8xH8"
        "RsgkAzZjQQkuuNBxxH2Jf2KPViIsIoUsEpozgfwiasQKB/CLQMlw/qA02eUkpokDMxlK0xAg9zvuOU8TS5QbexoJvt2HI2wkU+DX"
        "PS4B5NbS2DyktKzG089UNIg7UTwGAfF7GcpVIRtId4VoRnwt5OlI1kFBRKHKxFP4ZSAaCQNqM+NgePVXGwEDBQ+cq4UJ2DDXprte"
        "ulejdTOqRsQo3klXFvp+bWvppv4FKDVcXG2ouLJZZUVGAM70TFnCyRZS8b1iUUQ7G7daq7Wqd3zyaMTANXMisuOcBTs3S4YhoPWF"
        "++R1nFR85Sk1NtFFjZrcnJBD8lHH3qXP+i1z87v799/bFdoLsVIMuobaRow2TclWxEfKRKYsZ2ShEeEBXVYKzpfC/7N8vbUp8cQK"
        "rEQ6Axn6yfzVCIcNWnCjWfrKNONMrw1XQ49HE5nUMNDlVlMFf+aS5mN2jPtvACW9hkmiRQ+uHm8Lkj6kabVTPXs+LolSrsvlyxb9"
        "WDXKnvMRbPK27WB4wV3Jz3niV1/tCLVxvSgkVoFK1y0Om25rbPYg+7Z5Hhmple7TBhO4MevkD2+esJ40Nlfqfr6N0zp9/rOv3ued"
        "e5enPxrn/Zsd93FmsXV28v+73IJFRZZrw9rkGqy28f2DLg3lSscLWn9Eo9rJY2zBGUbsKEdPWVn2eCwLO8fYWre901NwJGLp6OiB"
        "4lkzCGQEPPSqDqTlBXQo58opHPS5DmvVpGjbbQbSEidP3RvVEFt6a6+QlTj6mbPaYLZWs68ouSyD6jA8KTIuFXJWCEY6Le/pkbk0"
        'R9eOXEfmrU/1KON8xTu0/W/76GBbf9l7lFG64Eb3j08Tj6A9YmrUc="]'
    ),
    "4.0.5": (
        '["g1AAAAuMeJzVVd1u0zAUTtukP2PjYiAk7ioGXIAS1rIysQvEU3CFFDmJmzhN7NZ25vQ1eAGuuOYFuNsL8QjYcdYl7UK6SYBQpb'
        "q1v3P8ne/8OBokhmH0o2EqFzOAIBCPKfA8xF0/AYwh311lMIPC5DSDCtuLegp7mNspyO0E4pBHYsRQiGGAMAddfX6Q2+QS0nlChB"
        "gkBIeMU7X/kMIY+txeZl6CWLRxVtxi8/US1uCDkkUcCxMTDPV3NABdYKiPGGq2HyMxoBnGCIeaqo6osxKPynBWGaFZuh1Nv41AX9"
        "tp2JPcVhLJqDmH1Ia5HwEc1g0MDX1ah1KSccnNXsB1DV1Ifg/FtphIKOAwrPs+AlyeA8Ztgn2o7Y5k2iBjIJSh8qSat4MdiZXAVq"
        "vE3dW0RePOnhrvEDBBT1LotOWYbe6X/iC4x/3a7lYB2mvM4oAtWFvbmH+hghp7cnrvNrNVBYBuiwTHAj5DNPg8vvqBr76Pf3798q"
        "1Nj9akNFJqy0qs3I+0+wcgXTmRFAhSJgbXP0YZDuAcSXE0aqRQnCyRLyy9bCMM0Q8QlV24c9LJS5viz7psZeWwNGg0XIv+HGCZ1d"
        "v5pID7UTPnY4XRCijyFPiwiXzBprxq98pCrm5k6WAqBW0ViVEbPeC8qoz+ngeoMD1CkrIG9O6ckGrNlQnucEkLeEk16R1QA8Zx9X"
        "apy/C6LQq/C+ck1iSLrpAnhNmT+RS+DezTN4LQheyOiTNRpyeT86kzOXdOncnF7P3sbDq2P4w3e2cXs3fn01iH0i2H1++daphWZN"
        "8Ltm2avcdalEp7qQ0r6jV0zyHgbkoYd9VAL8MQJ+VAZ66aBK4eFzBw5SiQk8DlhIMEWBL4vAEI8yVSq0YaEvmiAalfohto3Mh0GC"
        "Cmsh7ciaXxx1je+kLJB9ItHsiNnubeBKw7EJDQ1w3QACZIPvprN0GppHdj8LLBwCd4jmi6R3Q7xWL+2zTcWYXGyGrF9d9FFe92vb"
        'c4/LSIfwEBxc1s"]'
    ),
    "4.3.6": (
        '["g1AAAAwgeJzVVt1u0zAYTdv0Z2NjaAwk7ioKXIAS1o5t0i4QT8EVUuQmbuLUsVvbmdvX4AW44poX4G4vxCNgx1nbtM3STQKEKj'
        "WpfWyfc77v89eojS3LakWdRD3sAIJAnjAwHCLh+RhwjnxvmsIUSluwFGpsI2po7MHMScDMwZCEIpJ7HIUEBogIUDfz+zOHXkM2wl"
        "TKNqYk5ILp8ccMxtAXziQdYsSjxWbZKY6YT2AB3s5ZxLG0CSXQfEdtUAeW/siOYfspkm2WEoJIaKgaRbWpfJrLmaaUpcm6mlYVgZ"
        "ZZZ2DPZ462SKkWAjIHzvwIkLC4wDLQF0Uoo6lQ3JwxnBfQmeUPcGyNiYICAcPi3odAqHnAhUOJD826QxU2yDkIlVSBV+O2v2GxNr"
        "hZaXF9OqjwuLajxxsEbNBQFGpVMeaL89V+EDzgfLNuqwHVOdYUgI95VdnYfyGDSmtysHOZGb/qWT4u9wInuTVZwOlEeXOkUwPUK7"
        "w5lvAlYsGX7s1PcvOj++vb1+9VRlVGq/RKqApXJm7fbG/JVoCYKiu5l5IAjpByKi9DkEzdfO5OzAgQFRLZyp/rmEcaE6nYQMZl+/"
        "ZlHbWnUQkQflSOeaIxRpN6wTSUTUEnyN8AHheA6krwYRk0O9dMlSBqs3wm+zHPB+db9Ga+1qOmWbVSEs0sgnqgAdy3K82jMQRM2k"
        "NKcZ4sZnRE6WrW5plQE4oIGOLV7KiBAjCOV09XJDu3hZXtO3Z7sSGZ1ZWaodzpjwbwLHBO30vKxqq++m5fz/b6lwO3f+meuv2rs4"
        "vTiw9d52N3MXZ+dX5xOYiNlPpS6t37riN3OcOsUZfr3VvfFuwy6fOuVlJmB0B4CeXC0y0hlyF7eUvgnr5LPHPhwMBTF4Cqf09QAT"
        "DoKeCrEiCcTZB+GqSlkK9LkKaXLaFxKdNOgLiOenAvltYfY7m1x6kW62UtduGnvTOB5j0IKOi7EmgAMVJ/G+YeRomit1zwpmSBT8"
        'kIsWQHdRvJYv/bMNzbhVJlheT6H1U9y1VdUwwEwnCbrtrOuuJ48x4Zjg8+J/FvEKb+Kg=="]'
    ),
}
