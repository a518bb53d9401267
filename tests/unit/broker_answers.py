"""What brokers of four versions answered when they were asked for their facts, in a topology with a bit of everything.

Queues `tasks` (classic, at most 50, dead-letters to `dead`; 55 were published), `dead` (at most 2, refuses more), `q` (quorum, dead-letters
to `dead`; from 3.10 on at least once, after 10 ms), `q2` (quorum), `s` (stream, from 3.10 on), and one with an unusual name. Exchange `x` with a
binding to `tasks`, one to exchange `y`, which is its alternate too. The client chaos-1f2e3d-0/worker-1.1 consumes from `tasks` and `q2` with a
prefetch of 3, and one without a name from `tasks` with 2. All of it was done
three times, on the same nodes, after deleting the queues. A policy on 3.10.8 and an operator policy on 4.3.6 allow `tasks` 20 messages.
"""

ANSWERS = {
    "3.8.9": (
        '["g1AAAAY2eJy9lE2O0zAUx52m6QeMWAwIiV3F7JAcmpSZSrNALDgG0siJne/YjePQ9BpwAFasuQC7uRBHwI7TIem06axQFnH8fn'
        "7+//P8HE0zAIAVzXL5GmOCMAavOPK8WNz5GSrL2L8rKlIRDMaCV0TRo8hU9EUNc1TDjNBQRBjMyzikBMdUoBZ4VkP2lfAgY1sMph"
        "mjYSm4CrzgJCG+gJvKy+IyShKZnDJK2lc0QSME1IPBTGv5JDeY8orSmIZaqyVQmZbnxZrnxLoaeF1D5V4SQhAOSe1HiIakLxxo9k"
        "2f5awSUhdMya6PN//ziDuILOluNODOKDB42TorKsarfMBYE4FitzlQO9Er/78/62z1RoV71qDxVINHFIyRKRUYAwout+RtzPGXxf"
        "1vev9r8efHt5/Dh+nILmDAZ6IszNtGQHlh45jLM4/BZD+YVxSTIJYJO1SAqPzbktoPDikwkMGosewLton95munZy9VXi1QDgRHPt"
        "ljj1PMFZwj4SsrkSwv4eVj6rmiHqKnuSZbu9OpHY3dUbeJvmks7avb8VZTFTVjIvtdpxVMD3FZHI+xrK1ZOx8w1mv59mQZQqlCXt"
        "Y9bgbqo0nS1aDEzva90+RO7atEa206R0ZYCZ3AJSsMl++3jKeygxzbUdErZ+3aztpe2s7tzXK1+rCAHxcPc+7t9c3aTbSh0T/HT1"
        '15uOa0Fk3KHhzGtC8j6l5UXnrx+XvyF4NixlM="]'
    ),
    "3.10.8": (
        '["g1AAAAuBeJzVVcuO0zAUddJ2pp0HIw0jJHYVAyxAKZPOS5oFYsFnIEVO7DZOE7u1HSZdsOUD5gdgw5ofYDc/xCdgx+kjnSbzEI'
        "OEunBqn3t97rkPh5sxAGAjbCdqsSYIPOXQ94n0JinjaaIWnGIEmpKn2CAbGrmTOfmJI6djdbwZMzoUkuujDWNpcM8yB2GInBhLib"
        "mDsyCEdLhiAQz2eRnLWSoJHTojPC3DmxplTLYyh33GfBCzyzLmCccRDqQzTv2YiHAtGQWFEg9XvO9CqQBQSIfRABvD3cxJsBBwqO"
        "KVMQIdQYYUI0Il3IoipQ5lFBdLuAGB+rUgQKBttPwQqit4SqkKxwhtT/q3Km3dVek1DJqwoThYNQwssSCg3GH4IALGskICUCvB/i"
        "V+QTj61L3+Ra9/dn9/u/qBwEHBKIihECQoUXrQLS0JxUjUO9axNuaxJjBT+adDGZby3H/keo40Czu086pecIAHZmt7qf58YH39Hu"
        "VlNHYXYuzpmoN2jRj5RbdrYd+mhX2/5luTOLsmcbkSHXNFByaTnmRjEiCVSrN2UorwgCh3BmNls7P837Qgpy0HkCrREdiYfaza5i"
        "hEuGKrULOPVdS+Rhmimg6HAa6ms63BoRIac1V3m/OvG7SnNbxADZtckwTKIFzvvqikltFmuQlaeab1TgP23iyVfcOHXCXHZywu6q"
        "DYHzBWynwxEiyp44d+vDwnLFiGRtEyBx1ue9Yuue9R7zAyXPNmUSdMOO6gj4+Rc/TukvGRahq35+rTQ/e833PPe0c99+LUPTs56T"
        "rvu/O944vTs/N+ZAKyi/la79TAjDB3vWDVptp7ZGRZ7kW90wobld23A6WXMCE9/eoUkSDwsmh74enW9cwkwcjD2ZjoVTIJYwg09L"
        "ACqnpYtXCB/KKRryqQpmsXXqMaum1EhM4/ejSq4N5U17+n6j338vd8rmxTe35d4TlgdEB4Uib8tgKMcEzUBJx6MUnUxUsWd1Nj7y"
        '/FeKN4mo/J+t/nsFRt/2Vs0ZqR4I92Pl5FfwA6vp5x"]'
    ),
    "4.0.5": (
        '["g1AAAAtoeJzVVd1u0zAUTtr0b2wgDYTEXcWAC1DKUsYq7QKBxGMgRU7iNk4Tu7UdnL7GXoArrnkB7vZCPAJ2nHXNWi/bJECoUt'
        "Pa3/H5vuPv5MS91LKsbtzP5MNeiscUBAHi/jInNM/kA+ZQOJzmUOPaCrdfuOWGy1cLKHopwTPGqdrp6jgNe1q4EQSRm0LOIXVhEc"
        "YAz+oBloY+q0MpyTnCM3cOVzW0o0A6Yq9wyVdIpykRNchDChMYcneRByli8U4mEgo4nNXPPgBc7gPGXYJDqOMOCjeDjIGZlMpTMW"
        "BohmGEMAd7SSIcTDDU33EXWPLTAZbo6wp+jEWP5hhLGbq4JXfxpKpvmALGUHi9wO11gTNQSDp4xuPNtK17iDffVq9isaWlVaoxa7"
        "HZ2ijyKAi2jGI3GkXH7aziTZlby3GDR5tT67it1A5oy9S2MfWhgM8Rjb4ML37iix/DX9/OvzddZyMX4w001aHDAZuzpvzOX2hEo1"
        "fH9xbvqkYCrR3iE6VqoA9+ALLlKJY8IGWid/ljkOMITpHkoFEDheJkgULR0Y/rCEt0I0Rl22zt2EUVU/5ZVb2nDqwCjIEr0Z0CLI"
        "u3m08GeBibOR8qjNauyFMQQhP5kk2VajtlWa5W3NFiNnzTKa9ELbTB6PXGm6cdACqcgJBUu6hanRKyebWVr20uaYEg3fS6DWrAJN"
        "nMLuvSv3Rfee58dJRokqX55A5hrjcdw3eRe/xWEDqXJvRGnto98ibjkTcZHY+8s5PTiTceuh+G67WTs/enk3GipbSupN428nqMmY"
        "tGyhfRzbBEF2XDxWqhE7cNTbsPuJ8Rxn01fioZ4qgaP8xXDefrroSRLztONpzPCQcp+CSBLwxAWCyQemqkJZEvDUg9Oq6giZFpP0"
        "JM3Xp0J5bWH2O5cx7Ice6X43xdT+fWBB7dgYCEvjFAI5giOaVXfooySe8q4JUhICR4imh2C3VbZnH+7TXcuQpGZTVz/Xeqku2uD+"
        'b7n8+T3zFuwFU="]'
    ),
    "4.3.6": (
        '["g1AAAAv8eJzVlt9u0zAUxpM2/bOxMTQGEncVAy5A6dZOZWgXiAseAylyEzdx6tit7czpBS+BuOeKa16Au70Qj4ATe22zNWs7CR'
        "CatLTx79jnfOfs86IWtiyrGbUT9ahN+/IxA8MhEt40pSxN1AOmUDqCpTAH7aieg3uZWyy4YjaBsoUpCblg+UpTx8WxdAglUP+Oms"
        "ABdWABW7b19h8i2WIpIYiE+mh7uubk5oYna+xp5gYQBC6GQkDmwsyPAAnLAZZGn5VRRlOhsnLHcFainRzSEbuZSy8hG2EqS8hDBm"
        "PoC3eSDjHi0cpMFAoEDMt77wOh1gEXLiU+1HH7mZtAzkGoShVY7nAUEhggIsDuLXEt9dMAVqW4DQH4mMsjI7CPAefIv6mw8xekU+"
        "1LQKYCSCii5aL669rbMlnHegxrRSMWe4EjI0oxx3SiVDnINQG1SlUOJXyOWPCpc/WTXP3o/Pr25fs6idaO/zzLVS2y7mhRodG64+"
        "trRKzdYz7vUUttTS02n/8tq60guIeL6LgtVCzGYlfva8lmgJiqVO6kJIAjpOQxyoBk2jVrdzIjQNQwy6Z53mQe5EykOgYZl63rDz"
        "epnZxKgPCjauZRzuhq1AdMQ9kQdIL8W+BhCVQu4sMqtDhXL1UQdmZWii8z83K2ot5C11rU0FEGa1+bQv69Pu4ex8uAcZtG0duCAN"
        "3XS+NbHwImnSGlWE+EeTuidHmWzYzYQmUKhnh5bmxQAuNYJ1k4ksqLcrc36sOzwD09kZSNlTP1ur189bh33u/2zrun3d7FoD84e9"
        "dx33fm7wYXg7fn/VhnWltUcve+mlQ35ybYYsONU1FWtxh3cxFW+MQeEF5CufDyW8SUIY/NLcK93GE8bdUw8JSDKAPxBBUAg88KfF"
        "EBwmyC8qcmLUW+rCC1vSzQuDLTdoB43tRgqyytP5blyn891K3sFbfyXE9n4wQOtkhAoW8q0ABipJx85mGUqPQWAa8qAnxKRoglG1"
        'R3a1icf9uGrVWorKw0XP9jVU9MVZcUA4EwXFWXvXFdxh5LPjIc7338Gv8GnPXxQw=="]'
    ),
}
